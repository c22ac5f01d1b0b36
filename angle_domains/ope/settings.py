"""Settings of off-policy evaluation, light to import."""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from angle_domains.interval import LEVEL
from feeds.settings import Settings


class BehaviourConfig(Settings):
    """How the behaviour policy is estimated."""

    kind: Literal["multinomial", "boosting", "recurrent"] = "multinomial"
    folds: int = Field(default=5, ge=2)  # of patients
    held_out: float = Field(default=0.2, gt=0.0, lt=1.0)  # share of a fold's patients that no model is fitted to
    regularisation: PositiveFloat = 1.0  # of the multinomial logistic: the inverse strength C
    trees: PositiveInt = 100  # of boosting, for each action
    depth: PositiveInt = 4
    hidden: PositiveInt = 64  # of the recurrent network
    epochs: PositiveInt = 40  # of it at most
    learning_rate: PositiveFloat = 3e-3


class JudgingConfig(Settings):
    """How recorded patients judge a policy; feeds that can be tried out pass over it."""

    behaviour: BehaviourConfig = BehaviourConfig()  # where no propensities were recorded
    values: Literal["auto", "counted", "network"] = "auto"  # fitted ones; auto: counted where states come back
    folds: int = Field(default=5, ge=2)  # of patients, across which values are fitted
    fqe_updates: PositiveInt = 20_000  # at most, for each fold
    rollouts: NonNegativeInt = 2  # of each stay in each member of a patient model; 0: no model-based estimate
    gamma: float = Field(default=1.0, gt=0.0, le=1.0)  # of values, an hour; 1: what is earned over a whole stay
    interval: Literal["influence", "percentile", "bca"] = "influence"  # see `intervals`; percentile stands beside it
    draws: PositiveInt = 1_000  # resamples of patients
    level: float = Field(default=LEVEL, ge=0.5, lt=1.0)  # of intervals and of lower bounds
    cut: PositiveFloat | None = None  # level at which weights are cut; None: they are not
    low: float | None = None  # of a stay's return, known beforehand; None: as the kind of reward tells, if it does
    high: float | None = None
    bound_cut: PositiveFloat = 20.0  # level of the weights in lower bounds, chosen before the records are seen
    checkpoint: Literal["estimate", "last"] = "estimate"  # which one is kept: by estimates that are not refused
    override: bool = False  # gives numbers where they should be refused; the mark stays
