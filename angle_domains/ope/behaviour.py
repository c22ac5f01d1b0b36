"""The policy that took the recorded decisions, estimated where its propensities are not known.

By a multinomial logistic regression or boosted trees on what is seen now, or by a recurrent network on all that was
seen and done before (`recurrent`).

Every patient's probabilities come from models that saw other patients alone (cross-fitting), and each model is
calibrated by a temperature on further patients that it was not fitted to. A model judged on its own patients would
know their decisions too well, and the weights would shrink.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from angle_domains.errors import FeedError
from angle_domains.ope.diagnostics import Calibration, calibrate
from angle_domains.ope.folds import folds
from angle_domains.ope.recurrent import log_probabilities
from angle_domains.ope.settings import BehaviourConfig
from feeds.base import Rows

_TEMPERATURES = np.log(0.05), np.log(20.0)


@dataclass(frozen=True)
class Behaviour:
    """Probabilities of all actions in every row, and how well they fit what was done."""

    probability: Float[np.ndarray, "n a"]
    calibration: Calibration
    temperature: tuple[float, ...]  # of each fold; 1 leaves a model as it was


def estimate(rows: Rows, actions: int, config: BehaviourConfig | None = None, *, seed: int = 0) -> Behaviour:
    """Of discrete actions numbered from 0, by the flat observation, or by all that was seen and done so far.

    Raises FeedError where patients are too few to hold some out, or where a decision was not allowed by its own mask.
    """
    config = config or BehaviourConfig()
    action = rows.action.reshape(len(rows)).astype(np.int64)
    decided = ~rows.last
    if rows.mask is not None and not rows.mask[decided, action[decided]].all():
        raise FeedError("some recorded decisions are not allowed by their own mask: no behaviour policy takes them")
    fold = folds(rows.entity, config.folds, seed)
    probability, temperature = np.empty((len(rows), actions)), []
    for number in range(config.folds):
        away = fold == number
        log_prob, warmth = _fit(rows, actions, decided & ~away, away, config, seed + number)
        probability[away] = softmax(log_prob / warmth, axis=1)
        temperature.append(warmth)
    found = calibrate(probability[decided], action[decided])
    return Behaviour(probability, found, tuple(temperature))


def _fit(
    rows: Rows, actions: int, train: Bool[np.ndarray, " n"], away: Bool[np.ndarray, " n"],
    config: BehaviourConfig, seed: int,
) -> tuple[Float[np.ndarray, "m a"], float]:  # fmt: skip
    """Logarithms of probabilities in the rows of a fold, and the temperature they are to be divided by.

    The mask comes first: a temperature that makes up for mass on what is forbidden would be wrong for what is not.
    """
    others = np.unique(rows.entity[train])
    spared = max(1, round(config.held_out * len(others)))
    held = np.isin(rows.entity, np.random.default_rng(seed).permutation(others)[:spared])
    fitted, kept = train & ~held, train & held
    if config.kind == "recurrent":
        everywhere = log_probabilities(rows, actions, fitted, kept, config, seed)
    else:
        everywhere = _by_state(rows, actions, fitted, kept | away, config, seed)
    log_prob = everywhere if rows.mask is None else np.where(rows.mask, everywhere, -np.inf)
    action = rows.action.reshape(len(rows)).astype(np.int64)
    return log_prob[away], _temperature(log_prob[kept], action[kept])


def _by_state(
    rows: Rows, actions: int, fitted: Bool[np.ndarray, " n"], wanted: Bool[np.ndarray, " n"],
    config: BehaviourConfig, seed: int,
) -> Float[np.ndarray, "n a"]:  # fmt: skip
    seen = rows.observation.reshape(len(rows), -1).astype(np.float64)
    action = rows.action.reshape(len(rows)).astype(np.int64)
    log_prob = np.zeros((len(rows), actions))
    log_prob[wanted] = _log_probabilities(_model(config, seed), seen, action, fitted, np.flatnonzero(wanted), actions)
    return log_prob


def _log_probabilities(
    model: Any,  # a classifier of scikit-learn
    seen: np.ndarray,
    action: np.ndarray,
    fitted: Bool[np.ndarray, " n"],
    wanted: Int[np.ndarray, " m"],
    actions: int,
) -> Float[np.ndarray, "m a"]:
    """An action that was never seen in fitting is as probable as one decision among all of them."""
    taken = np.unique(action[fitted])
    probability = np.full((len(wanted), actions), 1.0 / (1.0 + fitted.sum()))
    if len(taken) == 1:
        probability[:, taken] = 1.0
    else:
        model.fit(seen[fitted], action[fitted])
        probability[:, model.classes_] = model.predict_proba(seen[wanted])
    return log_softmax(np.log(np.maximum(probability, 1e-300)), axis=1)


def _model(config: BehaviourConfig, seed: int) -> Any:
    if config.kind == "boosting":
        return HistGradientBoostingClassifier(
            max_iter=config.trees, max_depth=config.depth, learning_rate=0.1, early_stopping=False, random_state=seed
        )
    return make_pipeline(StandardScaler(), LogisticRegression(C=config.regularisation, max_iter=2_000))


def _temperature(log_prob: Float[np.ndarray, "m a"], action: Int[np.ndarray, " m"]) -> float:
    """By which logarithms are divided for the least log loss (Guo et al. 2017)."""

    def loss(log_temperature: float) -> float:
        warmed = log_softmax(log_prob / np.exp(log_temperature), axis=1)
        return float(-warmed[np.arange(len(action)), action].mean())

    return float(np.exp(minimize_scalar(loss, bounds=_TEMPERATURES, method="bounded").x))
