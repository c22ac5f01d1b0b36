"""Marginalised importance sampling where states are few: weights of states in place of weights of histories.

Xie, Ma and Wang (2019), "Towards optimal off-policy evaluation for reinforcement learning with marginalized importance
sampling". How much more often the target is in a state after t decisions follows from how much more often it was in the
states before; a product over a whole stay, whose spread grows with its length, never comes up. What it costs is the
Markov property: the state must tell all that the future hangs on. Two forms: `state` weights the decision in a state by
the propensities, `state_action` by how often it was taken there at that step, which estimates them by counting. Both
are normalised in every state at every step, so that no patient of the target's is lost or doubled by chance.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from angle_domains.errors import ConfigError
from angle_domains.ope.episodes import Episodes, earned
from angle_domains.ope.weights import log_ratios

Form = Literal["state", "state_action"]


@dataclass(frozen=True)
class Marginal:
    """`direct` has one number an episode: they average to `value` and spread as it errs."""

    value: float
    direct: Float[np.ndarray, " e"]
    effective: float  # sample size at the worst step: (sum of w)² / sum of w² over the states of the episodes
    largest: float  # of the weights of states
    cut_share: float = 0.0  # of the weights that were cut
    bias: float | None = None  # the value with the cut less that without


def fit(
    episodes: Episodes,
    state: Int[np.ndarray, "e t"],
    gamma: float,
    *,
    action: Int[np.ndarray, "e t"] | None = None,
    form: Form = "state",
    cut: float | None = None,
) -> Marginal:
    """Of the target, from the number of the state at each decision; `state_action` needs the actions too.

    With `cut` no weight of a state is above it. A record that was cut counts nothing beyond its end.
    """
    if cut is not None and not cut > 0.0:
        raise ConfigError(f"the level at which weights are cut must be above 0, got {cut:g}")
    ratio = np.exp(log_ratios(episodes))
    if form == "state_action":
        if action is None:
            raise ConfigError("marginalised weights of states and actions need the actions")
        ratio = episodes.target / _counted(state, action, episodes.real)
    ratio = _normalised(ratio, state, episodes.real)
    found = _solve(episodes, state, gamma, ratio, cut)
    if cut is None:
        return found
    whole = _solve(episodes, state, gamma, ratio, None)
    return Marginal(
        found.value, found.direct, found.effective, found.largest, found.cut_share, found.value - whole.value
    )


def _widened(visits: np.ndarray) -> np.ndarray:
    """By how much deviations from a mean of so many are too small; of a single one nothing is known."""
    return np.sqrt(visits / np.maximum(visits - 1.0, 1.0))


def _counted(state: np.ndarray, action: np.ndarray, real: np.ndarray) -> Float[np.ndarray, "e t"]:
    """How often the recorded action is taken in its state at its step, among all that are there."""
    share = np.ones(state.shape)
    for t in range(state.shape[1]):
        here = real[:, t]
        pairs = np.stack([state[here, t], action[here, t]], 1)
        _, place, times = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
        _, where, visits = np.unique(pairs[:, 0], return_inverse=True, return_counts=True)
        share[here, t] = times[place.ravel()] / visits[where.ravel()]
    return share


def _normalised(ratio: np.ndarray, state: np.ndarray, real: np.ndarray) -> Float[np.ndarray, "e t"]:
    """Of mean 1 in each state at each step; 0 where the target takes nothing that was taken there."""
    found = np.zeros(ratio.shape)
    for t in range(ratio.shape[1]):
        here = real[:, t]
        _, place = np.unique(state[here, t], return_inverse=True)
        mean = np.bincount(place, ratio[here, t]) / np.bincount(place)
        found[here, t] = np.divide(ratio[here, t], mean[place], out=np.zeros(here.sum()), where=mean[place] > 0.0)
    return found


def _solve(episodes: Episodes, state: np.ndarray, gamma: float, ratio: np.ndarray, cut: float | None) -> Marginal:
    """Forwards the weights of states, backwards their values, from which the influence of each episode follows."""
    real, steps, most = episodes.real, state.shape[1], int(state.max()) + 1
    weight, ahead, sizes = np.zeros(state.shape), np.where(real[:, 0], 1.0, 0.0), []
    above = 0
    for t in range(steps):
        here = real[:, t]
        mass, visits = (np.bincount(state[here, t], each, most) for each in (ahead[here], np.ones(here.sum())))
        w = np.divide(mass, visits, out=np.zeros(most), where=visits > 0)[state[here, t]]
        if cut is not None:
            above += int((w > cut).sum())
            w = np.minimum(w, cut)
        weight[here, t] = w
        sizes.append(w.sum() ** 2 / max(np.square(w).sum(), 1e-300))
        ahead = weight[:, t] * ratio[:, t]  # what the state that comes next receives from each episode
    reward = earned(episodes, gamma)
    value = float((weight * ratio * reward).sum() / episodes.size)
    direct, later = np.zeros(episodes.size), np.zeros(episodes.size)
    for t in reversed(range(steps)):
        here = real[:, t]
        gained, share = reward[here, t] + later[here], ratio[here, t]
        summed, visits = (np.bincount(state[here, t], each, most) for each in (share * gained, np.ones(here.sum())))
        worth = np.divide(summed, visits, out=np.zeros(most), where=visits > 0)[state[here, t]]
        direct[here] += weight[here, t] * share * (gained - worth) * _widened(visits[state[here, t]])
        later = np.zeros(episodes.size)
        later[here] = worth
    direct += later  # the value of the first state
    if cut is not None:
        direct += value - direct.mean()  # with a cut the corrections no longer sum to nothing
    return Marginal(value, direct, float(min(sizes)), float(weight.max()), above / max(int(real.sum()), 1))
