"""The judge of agents that play games: whole episodes, beside chance and, where known, people."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from angle_domains.evaluation import Terms, Verdict, scores
from angle_domains.evaluation.bootstrap import LEVEL, Interval
from angle_domains.evaluation.episodes import STREAMS, Chance, Episodes, play_episodes
from angle_domains.evaluation.words import bounds, count
from angle_domains.types import Agent

QUICK_EPISODES = 10
FULL_EPISODES = 30
_FEWEST = 5  # below, resampling episodes says nothing of their spread


@dataclass(frozen=True)
class GameScores:
    """What a full verdict on a game rests on; a stratum for each seed of the episodes."""

    name: str  # of the game
    split: str
    seeds: tuple[int, ...]
    returns: tuple[Float[np.ndarray, " e"], ...]
    lengths: tuple[Int[np.ndarray, " e"], ...]
    cut: int  # episodes that did not end by themselves
    chance: Float[np.ndarray, " c"]  # returns of uniformly random actions
    intervals: dict[str, Interval]  # mean, median, iqm
    over_chance: Interval  # mean less that of chance
    reference: dict[str, float]  # published scores under their names, as in {"random": -20.7, "human": 14.6}
    protocol: dict[str, Any]  # how the game was prepared and played

    @property
    def episodes(self) -> int:
        return sum(map(len, self.returns))

    @property
    def human_normalised(self) -> float | None:
        """The mean return, where 0 is random play and 1 a person's (Mnih et al. 2015).

        None where those are unknown, and where episodes were cut: they are of whole games.
        """
        if self.cut or not {"random", "human"} <= self.reference.keys():
            return None
        low, high = self.reference["random"], self.reference["human"]
        return (self.intervals["mean"].estimate - low) / (high - low)


def judge(feed: Any, agent: Agent, terms: Terms) -> Verdict:
    """How well the agent plays whole episodes; the score, by which checkpoints are chosen, is the mean return.

    The feed gives every part seeds of its own, so the episodes a checkpoint was chosen by are not those it is reported
    on. In a full verdict chance plays as many, and every measure gets its interval. `trials` say nothing here: nobody
    picks the best of several runs by luck of a draw that later ones repeat.
    """
    if not terms.full:
        return _quick(terms.split, _play(feed, agent, terms, terms.episodes or QUICK_EPISODES, terms.seed))
    wanted, strata = terms.episodes or FULL_EPISODES, terms.seeds or (terms.seed,)
    parts = [_play(feed, agent, terms, wanted, seed) for seed in strata]
    luck = Chance(feed.spec.action_space, terms.seed)
    chance = _play(feed, luck, replace(terms, epsilon=0.0), min(wanted, FULL_EPISODES), terms.seed)
    returns = tuple(part.returns for part in parts)
    known = feed.describe()
    found = GameScores(
        name=known["name"],
        split=terms.split,
        seeds=strata,
        returns=returns,
        lengths=tuple(part.lengths for part in parts),
        cut=sum(part.cut for part in parts),
        chance=chance.returns,
        intervals=scores.intervals(returns, seed=terms.seed),
        over_chance=scores.difference(returns, (chance.returns,), seed=terms.seed),
        reference=known["profile"].get("reference", {}),
        protocol=known["profile"].get("protocol", {}) | {"epsilon": terms.epsilon, "episodes": sum(map(len, returns))},
    )
    return Verdict(terms.split, found.intervals["mean"].estimate, _metrics(found), tuple(_table(found)), found)


def _play(feed: Any, agent: Agent | Chance, terms: Terms, episodes: int, seed: int) -> Episodes:
    envs = feed.envs(min(episodes, STREAMS), split=terms.split)
    try:
        return play_episodes(
            agent, envs, episodes=episodes, seed=seed, epsilon=terms.epsilon, limit=terms.episode_limit
        )
    finally:
        envs.close()


def _quick(split: str, played: Episodes) -> Verdict:
    metrics = {"return": float(played.returns.mean()), "length": float(played.lengths.mean())}
    cut = f"; {told_cut(played.cut, played.lengths)}" if played.cut else ""
    return Verdict(split, metrics["return"], metrics, (f"{split}: return {metrics['return']:.4g}{cut}",))


def told_cut(cut: int, lengths: Int[np.ndarray, " e"]) -> str:
    """That episodes were cut short, and where."""
    return (
        f"{cut:,} of {count(len(lengths), 'episode')} had no end within {lengths.max():,} steps and were cut there: "
        "what came after is in no return"
    )


def _metrics(found: GameScores) -> dict[str, float]:
    """A dozen numbers under stable keys."""
    own = found.intervals
    metrics = {
        "return": own["mean"].estimate,
        "return_low": own["mean"].low,
        "return_high": own["mean"].high,
        "median": own["median"].estimate,
        "iqm": own["iqm"].estimate,
        "iqm_low": own["iqm"].low,
        "iqm_high": own["iqm"].high,
        "length": float(np.concatenate(found.lengths).mean()),
        "chance": float(found.chance.mean()),
    }
    human = found.human_normalised
    return metrics if human is None else metrics | {"human_normalised": human}


def standing(found: GameScores) -> str:
    """ "better" or "worse" than chance where the whole interval is, else "alike"; without one nothing is shown."""
    over = found.over_chance
    if over.low == over.high or over.includes_zero or found.episodes < _FEWEST:
        return "alike"
    return "better" if over.low > 0.0 else "worse"


def sentence(found: GameScores) -> str:
    """Whether the agent plays better than chance."""
    over, interval = found.over_chance, f"the {LEVEL:.0%} interval of the difference"
    if found.episodes < _FEWEST:
        return f"Too few episodes to tell: {found.episodes}, at least {_FEWEST} are needed."
    if over.low == over.high:
        of = "within each seed all episodes returned the same, or there is only one"
        return f"No interval can be had: {of}; the difference is {over.estimate:.4g} an episode."
    if standing(found) == "alike":
        return f"No skill shown: {interval} to random play, {bounds(over, '.3g')}, includes zero."
    word = "more" if over.low > 0 else "less"
    told = f"{standing(found).capitalize()} than random play: {abs(over.estimate):.4g} {word} an episode"
    human = found.human_normalised
    people = "" if human is None else f" Human-normalised score: {human:.0%}."
    return f"{told}, {interval} is {bounds(over, '.3g')}.{people}"


def within(interval: Interval) -> str:
    """ "[low, high]"; of scores that are alike within each seed there is none, for their resamples are, too."""
    return "no interval" if interval.low == interval.high else bounds(interval, ".4g")


def _table(found: GameScores) -> Iterator[str]:
    """The agent and chance, one a line, how it was played, and the verdict."""
    seeds = f"seed{'s' * (len(found.seeds) > 1)} {', '.join(map(str, found.seeds))}"
    yield f"{found.split} part of {found.name}: {count(found.episodes, 'whole episode')}, {seeds}"
    level = f"[{LEVEL:.0%}]"
    yield f"{'':<8}  {'mean':>9}  {level:>18}  {'median':>9}  {'IQM':>9}  {level:>18}  {'length':>8}"
    mean, median, iqm = (found.intervals[name] for name in ("mean", "median", "iqm"))
    length = np.concatenate(found.lengths).mean()
    yield (
        f"{'agent':<8}  {mean.estimate:>9.4g}  {within(mean):>18}  {median.estimate:>9.4g}  "
        f"{iqm.estimate:>9.4g}  {within(iqm):>18}  {length:>8,.0f}"
    )
    luck = found.chance
    yield (
        f"{'chance':<8}  {luck.mean():>9.4g}  {'':>18}  {np.median(luck):>9.4g}  "
        f"{float(scores.interquartile_mean(luck)):>9.4g}"
    )
    if found.protocol:
        yield "protocol: " + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in found.protocol.items())
    if found.cut:
        yield f"{told_cut(found.cut, np.concatenate(found.lengths))}."
    yield sentence(found)
