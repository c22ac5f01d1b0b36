"""The judge of policies on ICU-Sepsis itself: what they are worth exactly, by a linear solve over its states."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from angle_domains.errors import ConfigError
from angle_domains.evaluation import Terms, Verdict
from angle_domains.evaluation.episodes import play_episodes
from angle_domains.evaluation.words import BANNER, count
from angle_domains.loops import LoopState, advance, begin
from angle_domains.ope.policies import greedy, soft
from angle_domains.showing import Showing
from angle_domains.types import Agent, Decision, Percept
from envs.vector import FeedVectorEnv
from feeds.clinical.process import (
    IcuSepsisFeed,
    clinician,
    exact_value,
    expected_visits,
    first_state,
    optimal_policy,
    uniform,
)
from feeds.data.icu_sepsis import DEATH, HOURS, NUM_ACTIONS, SURVIVAL, read_counts

AGENT, CLINICIANS, OPTIMUM, RANDOM = "agent", "clinicians", "optimum", "random"
_LEVELS = 5  # of fluids, and of vasopressors
_PATIENTS = 2_000  # who are treated where a policy is no table
_STREAMS = 256
_SAME = 5e-4  # of survival: a difference that no digit shown would tell

Policy = Float[np.ndarray, "s a"]


class Worth(NamedTuple):
    """What a policy comes to."""

    survival: float  # share of patients
    steps: float  # decisions for each
    error: float = 0.0  # standard error of the survival; 0 where it is exact


@dataclass(frozen=True)
class ProcessValue:
    """What a full verdict rests on."""

    split: str
    worth: dict[str, Worth]  # of the agent as it decides, and of whom it is held against
    sampled: float | None  # survival where its probabilities are drawn from; None: it has no others
    inadmissible: float | None  # share of its decisions; None where the policy is no table
    alike: float | None  # chance that clinicians do the same in the states it comes to
    q_self: float | None  # what the agent itself holds the first decisions worth: never a value
    shares: dict[str, Float[np.ndarray, "5 5"]]  # of decisions, by fluids and vasopressors
    masked: bool  # inadmissible actions are forbidden

    @property
    def agent(self) -> Worth:
        return self.worth[AGENT]

    @property
    def gained(self) -> float:
        """How much of what the best policy gains over the clinicians the agent gains."""
        low, high = self.worth[CLINICIANS].survival, self.worth[OPTIMUM].survival
        return (self.agent.survival - low) / (high - low)


def judge(feed: IcuSepsisFeed, agent: Agent, terms: Terms) -> Verdict:
    """The survival of patients whom the agent treats, undiscounted; the score is the same number.

    It is exact, so no part of the patients can be overfitted and `trials` say nothing. Only an agent with a memory,
    whose policy is no table over the states, is measured on patients of the part instead, with a standard error.
    """
    feed = feed.to("cpu")
    told = _decide(feed, agent)
    found = _simulated(feed, agent, terms) if told.memory is not None else _exact(feed, told, terms)
    return Verdict(
        terms.split,
        found.agent.survival,
        _metrics(found),
        tuple(_table(found)) if terms.full else (_line(found),),
        found if terms.full else None,
    )


def policy_of(feed: IcuSepsisFeed, agent: Agent, epsilon: float = 0.0) -> Policy:
    """What the agent does in each state; ConfigError where that hangs on more than the state."""
    told = _decide(feed.to("cpu"), agent)
    if told.memory is not None:
        raise ConfigError("an agent with a memory has no policy that is a table over the states")
    return _deciding(feed, told, epsilon)


def _decide(feed: IcuSepsisFeed, agent: Agent) -> Decision:
    """In every state at once, as if an episode began there."""
    obs = torch.from_numpy(feed.shown)
    no, zero = torch.zeros(len(obs), dtype=torch.bool), torch.zeros(len(obs))
    mask = None if _allowed(feed) is None else torch.from_numpy(_allowed(feed))
    percept = Percept(obs, torch.zeros(len(obs), dtype=torch.int64), zero, zero + 1.0, ~no, no, mask)
    return agent.act(percept, None, explore=False)


def _allowed(feed: IcuSepsisFeed) -> np.ndarray | None:
    """Where all that is forbidden is forbidden; at the ends, where nothing is decided, all is allowed."""
    if not feed.config.mask:
        return None
    allowed = np.array(read_counts().admissible)
    allowed[DEATH:] = True
    return allowed


def _deciding(feed: IcuSepsisFeed, told: Decision, epsilon: float) -> Policy:
    chosen = np.eye(NUM_ACTIONS)[told.action.cpu().numpy().astype(np.int64)]
    return greedy(chosen, _allowed(feed), epsilon=epsilon)


def _exact(feed: IcuSepsisFeed, told: Decision, terms: Terms) -> ProcessValue:
    policy, extras = _deciding(feed, told, terms.epsilon), told.extras
    visits = expected_visits(policy)
    sampled = None
    if "log_probs" in extras:
        sampled = exact_value(soft(extras["log_probs"].cpu().numpy().astype(np.float64), _allowed(feed)))
    own = None
    if "q" in extras:
        q = extras["q"].detach().cpu().numpy().astype(np.float64)
        own = float(first_state() @ np.take_along_axis(q, policy.argmax(1)[:, None], 1)[:, 0])
    barred = ~read_counts().admissible
    return ProcessValue(
        split=terms.split,
        worth={AGENT: Worth(exact_value(policy), float(visits.sum()))} | references(),
        sampled=sampled,
        inadmissible=float(visits @ (policy * barred).sum(1) / visits.sum()),
        alike=float(visits @ (policy * clinician()).sum(1) / visits.sum()),
        q_self=own,
        shares={AGENT: shares(policy), CLINICIANS: shares(clinician()), OPTIMUM: shares(optimal_policy())},
        masked=feed.config.mask,
    )


def _simulated(feed: IcuSepsisFeed, agent: Agent, terms: Terms) -> ProcessValue:
    """Of an agent with a memory, by patients whom it treats."""
    envs = FeedVectorEnv(feed, _STREAMS, split=terms.split)
    many = terms.episodes if terms.full and terms.episodes else _PATIENTS
    played = play_episodes(agent, envs, episodes=max(many, _PATIENTS), seed=terms.seed, epsilon=terms.epsilon)
    survived = played.returns
    worth = Worth(float(survived.mean()), float(played.lengths.mean()), float(survived.std() / np.sqrt(len(survived))))
    return ProcessValue(
        split=terms.split,
        worth={AGENT: worth} | references(),
        sampled=None,
        inadmissible=None,
        alike=None,
        q_self=None,
        shares={CLINICIANS: shares(clinician()), OPTIMUM: shares(optimal_policy())},
        masked=feed.config.mask,
    )


@cache
def references() -> dict[str, Worth]:
    """Whom an agent is held against."""
    policies = {OPTIMUM: optimal_policy(), CLINICIANS: clinician(), RANDOM: uniform()}
    return {name: Worth(exact_value(each), float(expected_visits(each).sum())) for name, each in policies.items()}


def shares(policy: Policy) -> Float[np.ndarray, "5 5"]:
    """How often patients are given each level of fluids and of vasopressors, of all decisions."""
    visits = expected_visits(policy)
    found: np.ndarray = (visits @ policy / visits.sum()).reshape(_LEVELS, _LEVELS)
    return found


def _metrics(found: ProcessValue) -> dict[str, float]:
    """Stable keys."""
    metrics = {"true_value": found.agent.survival, "gained": found.gained, "length": found.agent.steps}
    if found.agent.error:
        metrics = {"value": found.agent.survival, "standard_error": found.agent.error} | metrics
        del metrics["true_value"]  # what is measured is not exact
    more = {"sampled_value": found.sampled, "inadmissible": found.inadmissible, "q_self": found.q_self}
    return metrics | {name: number for name, number in more.items() if number is not None}


def standing(found: ProcessValue) -> str:
    """ "better" or "worse" than the clinicians, else "alike"."""
    gap = found.agent.survival - found.worth[CLINICIANS].survival
    if abs(gap) < max(_SAME, 2.0 * found.agent.error):
        return "alike"
    return "better" if gap > 0.0 else "worse"


def sentence(found: ProcessValue) -> str:
    """How the policy stands to the clinicians of the process, and to the best there is."""
    gap = 100.0 * (found.agent.survival - found.worth[CLINICIANS].survival)
    sure = f"measured, standard error {found.agent.error:.4f}" if found.agent.error else "exact: the process is known"
    if standing(found) == "alike":
        return f"Not told apart from the clinicians ({sure})."
    word = "more" if gap > 0.0 else "fewer"
    told = f"{standing(found).capitalize()} than the clinicians: {abs(gap):.1f} {word} of 100 patients survive"
    part = f", {found.gained:.0%} of what the best policy gains over them" if gap > 0.0 else ""
    return f"{told}{part} ({sure})."


def _line(found: ProcessValue) -> str:
    about = f" ± {found.agent.error:.4f}" if found.agent.error else ""
    return f"{found.split}: survival {found.agent.survival:.4f}{about}, {found.gained:+.0%} of what can be gained"


def _table(found: ProcessValue) -> Iterator[str]:
    yield f"ICU-Sepsis, {found.split} part: survival of patients, undiscounted, 4 hours a decision"
    yield f"{'':<10}  {'survival':>8}  {'decisions':>9}"
    for name, worth in found.worth.items():
        yield f"{name:<10}  {worth.survival:>8.4f}  {worth.steps:>9.2f}"
    if found.sampled is not None:
        yield f"drawn from its probabilities instead of the likeliest action: {found.sampled:.4f}"
    if found.inadmissible is not None:
        yield f"decisions that are inadmissible: {found.inadmissible:.1%}; as the clinicians': {found.alike:.1%}"
    if found.q_self is not None:
        yield f"q_self: {found.q_self:.4g}, what the agent itself believes, as it discounts; no estimate of its value"
    yield sentence(found)
    yield BANNER


def play(feed: IcuSepsisFeed, agent: Agent, showing: Showing) -> Iterator[str]:
    """Patients of one part, decision by decision."""
    if showing.video is not None or showing.human or showing.values:
        raise ConfigError("--video, --human and --values are for games: patients have no picture")
    envs = FeedVectorEnv(feed.to("cpu"), 1, split=showing.split)
    state: LoopState = begin(envs, showing.seed)
    for patient in range(showing.episodes):
        steps = over = 0
        while not over and steps < showing.longest:
            decision, place = agent.act(state.percept, state.memory, explore=False), _place(envs)
            over = int(advance(envs, state, decision.action.detach(), decision.memory)[0][0])
            fluids, vasopressors = divmod(int(decision.action[0]), _LEVELS)
            seen = f"hour {steps * HOURS}: SOFA {read_counts().sofa[place]:.1f}"
            yield f"patient {patient + 1}, {seen}, fluids {fluids}, vasopressors {vasopressors} of 4"
            steps += 1
        end = "survived" if _place(envs) == SURVIVAL else "died" if over else "was not followed to the end"
        yield f"patient {patient + 1} {end} after {count(steps, 'decision')}"
        advance(envs, state, decision.action, decision.memory)  # the next one comes
    yield BANNER


def _place(envs: FeedVectorEnv) -> int:
    return int(envs.state_dict()["state"]["place"][0])
