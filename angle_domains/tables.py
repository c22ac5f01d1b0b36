"""The tables that join names to feeds and agents. A new one is a file and a line here, or an entry point elsewhere.

Entries hold import paths and resolve them when asked, so that the command line can list names without loading torch.
"""

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from angle_domains.errors import ConfigError, nearest


def resolve(path: str) -> Any:
    """The object at "package.module:name"."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


@dataclass(frozen=True)
class FeedEntry:
    """A feed and who judges policies on it."""

    summary: str
    config: str  # pydantic model of its settings
    build: str  # config -> DataFeed
    judge: str  # (feed, agent, terms) -> Verdict
    play: str  # (feed, agent, showing) -> lines about what is shown
    report: str  # (verdict, run, path) -> path of the page
    latex: str | None = None  # (path of the report's JSON, folder) -> paths of tables; None: it has none
    vector: str = "envs.vector:FeedVectorEnv"  # (feed, streams, *, split, device) -> vector environment
    films: bool = False  # `play` can make films, so training makes some of the best policy
    logged: bool = False  # it holds recorded episodes, and nothing to try out
    health: bool = False  # it is about patients, be they made up: every page says that it is research
    valued: str | None = None  # (feed, agent, terms) -> Episodes, by which policies are selected; None: they are not
    check: str | None = None  # (path, config) -> report, and whether the data are accepted; None: no data
    export: str | None = None  # (path, config, folder) -> what was written as MEDS; None: it holds no patients' records
    envs: tuple[str, ...] = ()  # names that --env may give for this feed; `*` matches anything
    knows: str | None = None  # name -> whether --env may give it, beyond the patterns of `envs`
    listing: str | None = None  # () -> names that --env may give, to tell the nearest of a misspelled one


@dataclass(frozen=True)
class AgentSpec:
    """An agent, its settings, and the loop that brings it experience."""

    summary: str
    config: str  # pydantic model of its hyperparameters
    build: str  # (config, spec, *, streams, seed, device) -> Agent
    loop: str  # generator of Report
    replay: str = "angle_domains.replay:rollout"  # (agent, *, streams, steps, stack, seed, device) -> ReplayBuffer
    offline: bool = False  # it learns from records alone; `replay` is then (rows, agent, *, seed, device)
    records: bool = True  # it can learn from records, where it keeps what it learns from; else from its own decisions
    rewarded: bool = False  # it decides by rewards, too: those of learning must be the same ones, not shaped
    actions: tuple[str, ...] = ("Box", "Discrete", "MultiDiscrete")  # the spaces it can act in


def _game(room: str, kind: str, summary: str, **more: Any) -> FeedEntry:
    """A feed that hands over native environments: judged by whole games, known by the names that it lists."""
    return FeedEntry(
        summary,
        config=f"feeds.{room}.config:{kind}Config",
        build=f"feeds.{room}.feed:{kind}Feed",
        judge="angle_domains.evaluation.games:judge",
        play="angle_domains.watch.games:play",
        report="angle_domains.report.games:write_report",
        vector="feeds.games:vector",
        knows=f"feeds.{room}.config:knows",
        listing=f"feeds.{room}.config:listing",
        **{"films": True} | more,
    )


FEEDS: dict[str, FeedEntry] = {
    "atari": _game("atari", "Atari", "Atari 2600 games, as the agent sees them and with raw scores"),
    "classic": _game("classic", "Classic", "Any registered gymnasium environment: classic control, Box2D, your own"),
    "clinical": FeedEntry(
        summary="Recorded patients as episodes of decisions: learned from offline, judged where records allow",
        config="feeds.clinical.config:ClinicalConfig",
        build="feeds.clinical.feed:ClinicalFeed",
        judge="angle_domains.evaluation.clinical:judge",
        play="angle_domains.evaluation.clinical:play",
        report="angle_domains.report.clinical:write_report",
        valued="angle_domains.evaluation.clinical:under",
        latex="angle_domains.report.patients.latex:write_tables",
        check="feeds.clinical.audit:check",
        export="feeds.clinical.export:export",
        logged=True,
        health=True,
        envs=("angle_domains/Clinical-v*", "angle_domains/Records-v*"),
    ),
    "glucose": _game(
        "glucose",
        "Glucose",
        "Virtual patients with type-1 diabetes (simglucose): insulin by what a sensor reads",
        films=False,
        health=True,
    ),
    "icu-sepsis": FeedEntry(
        summary="ICU-Sepsis, a process estimated from MIMIC-III to act in: every policy's value is known exactly",
        config="feeds.clinical.config:ProcessConfig",
        build="feeds.clinical.process:IcuSepsisFeed",
        judge="angle_domains.evaluation.icu_sepsis:judge",
        play="angle_domains.evaluation.icu_sepsis:play",
        report="angle_domains.report.icu_sepsis:write_report",
        health=True,
        envs=("angle_domains/IcuSepsis-v*",),
    ),
    "market": FeedEntry(
        summary="Prices of one universe as portfolio decisions, with costs and no look-ahead",
        config="feeds.market.config:MarketConfig",
        build="feeds.market.feed:MarketFeed",
        judge="angle_domains.evaluation.market:judge",
        play="angle_domains.evaluation.market:play",
        report="angle_domains.report.market:write_report",
        check="feeds.market.audit:check",
        envs=("angle_domains/Market-v*",),
    ),
    "minatar": _game("minatar", "MinAtar", "MinAtar: five Atari games on a grid of ten by ten"),
    "retro": _game("retro", "Retro", "Console games by stable-retro: Genesis, Nes, Snes and more"),
}


def _agent(home: str, loop: str, summary: str, *, replay: str = "rollout", **more: Any) -> AgentSpec:
    """One of ours: its module and the class of its settings, its loop, its replay, and what else is unusual."""
    module = home.partition(":")[0]
    return AgentSpec(
        summary,
        config=f"angle_domains.agents.{home}",
        build=f"angle_domains.agents.{module}:build",
        loop=f"angle_domains.loops:{loop}",
        replay=f"angle_domains.replay:{replay}",
        **more,
    )


AGENTS: dict[str, AgentSpec] = {
    "a2c": _agent("a2c:A2CConfig", "on_policy", "Advantage actor-critic, synchronous (Mnih et al. 2016)"),
    "agent57": _agent(
        "agent57:Agent57Config",
        "off_policy",
        "A family from curious to greedy policies, and a bandit among them (Badia et al. 2020)",
        replay="experienced_sequences",
        records=False,
        rewarded=True,
        actions=("Discrete",),
    ),
    "bc": _agent(
        "bc:BCConfig",
        "offline",
        "Behaviour cloning: does what was done (Pomerleau 1991)",
        replay="recorded",
        offline=True,
        actions=("Box", "Discrete"),
    ),
    "bcq": _agent(
        "bcq:BCQConfig",
        "offline",
        "Batch-constrained Q-learning of choices (Fujimoto et al. 2019)",
        replay="recorded",
        offline=True,
        actions=("Discrete",),
    ),
    "cql": _agent(
        "cql:CQLConfig",
        "offline",
        "Conservative Q-learning, of choices or continuous actions (Kumar et al. 2020)",
        replay="recorded",
        offline=True,
        actions=("Box", "Discrete"),
    ),
    "dqn": _agent(
        "dqn:DQNConfig",
        "off_policy",
        "Deep Q-network; double, dueling, n-step and prioritised as switches (Mnih et al. 2015)",
        replay="experience",
        actions=("Discrete",),
    ),
    "iql": _agent(
        "iql:IQLConfig",
        "offline",
        "Implicit Q-learning, of choices or continuous actions (Kostrikov et al. 2022)",
        replay="recorded",
        offline=True,
        actions=("Box", "Discrete"),
    ),
    "nec": _agent(
        "nec:NECConfig",
        "off_policy",
        "Neural episodic control: values read off the returns of similar situations (Pritzel et al. 2017)",
        replay="experience",
        records=False,
        rewarded=True,
        actions=("Discrete",),
    ),
    "ngu": _agent(
        "ngu:NGUConfig",
        "off_policy",
        "Never Give Up: policies that seek novelty, in one network (Badia et al. 2020)",
        replay="experienced_sequences",
        records=False,
        rewarded=True,
        actions=("Discrete",),
    ),
    "ppo": _agent("ppo:PPOConfig", "on_policy", "Proximal policy optimisation (Schulman et al. 2017)"),
    "qrdqn": _agent(
        "qrdqn:QRDQNConfig",
        "off_policy",
        "DQN over quantiles of the return (Dabney et al. 2018)",
        replay="experience",
        actions=("Discrete",),
    ),
    "r2d2": _agent(
        "r2d2:R2D2Config",
        "off_policy",
        "DQN with a memory, from stored sequences (Kapturowski et al. 2019)",
        replay="experienced_sequences",
        rewarded=True,
        actions=("Discrete",),
    ),
    "rainbow": _agent(
        "rainbow:RainbowConfig",
        "off_policy",
        "DQN with six improvements in one, C51 and noise among them (Hessel et al. 2018)",
        replay="experience",
        actions=("Discrete",),
    ),
    "rcql": _agent(
        "rcql:RCQLConfig",
        "offline",
        "Conservative Q-learning with a recurrent memory",
        replay="recorded_sequences",
        offline=True,
        actions=("Discrete",),
    ),
    "sac": _agent(
        "sac:SACConfig",
        "off_policy",
        "Soft actor-critic, of continuous actions or of choices (Haarnoja et al. 2018; Christodoulou 2019)",
        replay="experience",
        actions=("Box", "Discrete"),
    ),
    "td3": _agent(
        "td3:TD3Config",
        "off_policy",
        "Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018)",
        replay="experience",
        actions=("Box",),
    ),
    "vi": _agent(
        "vi:VIConfig",
        "offline",
        "Value iteration over the actions that a log supports, where its states come back",
        replay="recorded",
        offline=True,
        actions=("Discrete",),
    ),
}


def feed_entry(name: str) -> FeedEntry:
    return _find(name, FEEDS, "angle_domains.feeds", "feed")


def agent_spec(name: str) -> AgentSpec:
    return _find(name, AGENTS, "angle_domains.agents", "agent")


def make_feed(name: str, settings: Any) -> Any:
    """The feed of that name with these settings."""
    return resolve(feed_entry(name).build)(settings)


def check_actions(agent: str, spec: Any, *, logged: bool) -> None:
    """ConfigError where an agent cannot act in a feed's action space; it names those that can and, where the feed holds
    no records, need none."""
    if (kind := type(spec.action_space).__name__) in agent_spec(agent).actions:
        return
    known = {name: agent_spec(name) for name in names(AGENTS, "angle_domains.agents")}
    able = [name for name, entry in known.items() if kind in entry.actions and (logged or not entry.offline)]
    raise ConfigError(
        f"the agent '{agent}' acts in {' and '.join(agent_spec(agent).actions)} spaces, actions of '{spec.name}' are "
        f"{spec.action_space}: {', '.join(able) or 'none of the agents'} would do"
    )


def names(table: dict[str, Any], group: str) -> list[str]:
    """The names of a table and of the entry points that add to it."""
    return sorted({*table, *(point.name for point in entry_points(group=group))})


def _find(name: str, table: dict[str, Any], group: str, kind: str) -> Any:
    if name in table:
        return table[name]
    for point in entry_points(group=group, name=name):
        return point.load()
    raise ConfigError(f"no {kind} is called '{name}': {nearest(name, names(table, group))}")
