"""What estimators are made from: propensities, fitted values, weights of states, and a model's foresight."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from angle_domains.evaluation import Terms
from angle_domains.evaluation.foreseen import Foreseen, Foresight, foresee
from angle_domains.interval import limited
from angle_domains.ope import behaviour, fqe, marginal, tabular
from angle_domains.ope.diagnostics import Calibration
from angle_domains.ope.episodes import Episodes, from_rows, places
from angle_domains.types import Agent
from feeds.base import Rows

_FEW = 4_000  # states among which a foreseen one is placed
_VISITS = 5  # rows for each distinct observation, from which on values are counted


@dataclass(frozen=True)
class Propensities:
    """Of the decisions that were recorded."""

    chances: Float[np.ndarray, "n a"] | None = field(repr=False)  # None: they stand in the rows
    calibration: Calibration | None
    kind: str  # "known", or the model that estimates them


@dataclass(frozen=True)
class Evidence:
    """Episodes with all that could be fitted, and how it came about."""

    episodes: Episodes = field(repr=False)
    fitted: str  # in words: whence fitted values come, or why there are none
    weights_of_states: marginal.Marginal | None = field(default=None, repr=False)
    foreseen: Foreseen | None = None

    @property
    def remarks(self) -> Mapping[str, tuple[str, ...]]:
        """What is to be told with the number of an estimator."""
        told = {} if self.foreseen is None else {"MODEL": (self.foreseen.words(),)}
        found = self.weights_of_states
        if found is not None:
            cut = "" if found.bias is None else f", {found.cut_share:.1%} of them cut, which moved it {found.bias:+.4g}"
            told["MIS"] = (f"weights of states up to {limited(found.largest, 3)}{cut}",)
        return told


def propensities(feed: Any, rows: Rows, terms: Terms) -> Propensities:
    """Those that were recorded, else estimated across patients."""
    if rows.propensity is not None:
        return Propensities(None, None, "known")
    config = terms.judging.behaviour
    fewer = max(2, min(config.folds, len(np.unique(rows.entity)) // 2))
    config = config.model_copy(update={"folds": fewer})
    found = behaviour.estimate(rows, int(feed.spec.action_space.n), config, seed=terms.seed)
    return Propensities(found.probability, found.calibration, config.kind)


def numbered(rows: Rows, terms: Terms) -> tuple[Rows, int] | None:
    """The rows with numbers as states, and how many there are; None where states do not come back."""
    if terms.judging.values == "network":
        return None
    seen, state = np.unique(rows.observation.reshape(len(rows), -1), axis=0, return_inverse=True)
    if terms.judging.values == "auto" and len(seen) * _VISITS > len(rows):
        return None
    return replace(rows, observation=state.reshape(-1, 1).astype(np.float32)), len(seen)


def counted(
    rows: Rows, policy: Float[np.ndarray, "n a"], known: Propensities, terms: Terms, states: tuple[Rows, int]
) -> Episodes:
    """Episodes with values by counting; without them where the policy goes in circles in these records."""
    place, number = states
    q = tabular.cross_fit(place, policy, terms.judging.gamma, number, count=_folds(rows, terms), seed=terms.seed)
    whole = None if q is None else tabular.fit(place, policy, terms.judging.gamma, number)
    return from_rows(
        rows, policy, behaviour=known.chances, q=None if whole is None else q,
        direct=None if whole is None else whole.direct,
    )  # fmt: skip


def gather(
    feed: Any, agent: Agent, rows: Rows, policy: Float[np.ndarray, "n a"], known: Propensities, terms: Terms
) -> Evidence:
    """Everything: values by counting where states come back, else by networks across patients; weights of states; and
    a model's foresight. Estimators whose part could not be fitted are left out."""
    states, found = numbered(rows, terms), None
    if states is None:
        config = fqe.FqeConfig(updates=terms.judging.fqe_updates)
        count = _folds(rows, terms)
        fit = fqe.cross_fit(rows, policy, terms.judging.gamma, config, count=count, seed=terms.seed)
        episodes = from_rows(rows, policy, behaviour=known.chances, q=fit.q if fit.converged else None)
        words = f"{fit.words()}, of each patient by others in {count} folds"
    else:
        episodes = counted(rows, policy, known, terms, states)
        at = places(rows)
        place = at.padded(states[0].observation[at.row, 0].astype(np.int64))
        found = marginal.fit(episodes, place, terms.judging.gamma, cut=terms.judging.cut)
        episodes = episodes._replace(marginal=found.direct)
        words = f"fitted values by counting {states[1]:,} states, of each patient by others"
        words = words if episodes.q is not None else "no fitted values: the policy goes in circles in these records"
    if not terms.judging.rollouts:
        return Evidence(episodes, words, found)
    ahead = _ahead(feed, agent, rows, terms, few=states is not None)
    if ahead.credible:
        episodes = episodes._replace(foreseen=ahead.by_stay)
    return Evidence(episodes, words, found, ahead)


def _ahead(feed: Any, agent: Agent, rows: Rows, terms: Terms, *, few: bool) -> Foreseen:
    train = feed.episodes("train").observation if few else rows.observation[:0]
    states = np.unique(train.reshape(len(train), int(np.prod(rows.observation.shape[1:]))), axis=0)
    wanted = Foresight(
        terms.model,
        terms.judging.rollouts,
        terms.epsilon,
        states if 0 < len(states) <= _FEW else None,
        terms.seed,
        terms.split,
    )
    return foresee(feed, agent, rows, terms.judging.gamma, wanted)


def _folds(rows: Rows, terms: Terms) -> int:
    return max(2, min(terms.judging.folds, len(np.unique(rows.entity)) // 2))
