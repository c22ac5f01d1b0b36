"""Settings of the models that learn beside an agent, light to import."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from feeds.settings import Settings


class PatientModelConfig(Settings):
    """How the model is fitted and how wary it is."""

    members: PositiveInt = 5
    hidden: tuple[PositiveInt, ...] = (128, 128)
    updates: PositiveInt = 3_000
    batch: PositiveInt = 256
    learning_rate: PositiveFloat = 1e-3
    pessimism: NonNegativeFloat = 1.0  # rewards of one standard deviation lost for a disagreement as wide as a change
    support: float = Field(default=0.02, ge=0, lt=1)  # discrete actions rarer than that in such states are forbidden
    longest: PositiveInt | None = None  # decisions of an episode; None: those of the longest recorded one
    seed: NonNegativeInt = 0


Coupling = Literal["none", "gradient", "values", "gated", "shuffled"]
Inner = Literal["ridge", "maml", "fomaml", "anil", "reptile", "none"]


class ForecastConfig(Settings):
    """What is forecast, by what, and how Q is heard."""

    kind: Literal["ridge", "linear", "mixer", "gru"] = "ridge"
    length: PositiveInt = 8  # ticks that are looked back on
    horizons: tuple[PositiveInt, ...] = Field(default=(1, 4), min_length=1)  # ticks ahead; the first is Q's
    coupling: Coupling = "gated"  # of networks; ridge has no loss that Q could enter
    updates: PositiveInt = 20  # of the network, each time it is trained
    batch: PositiveInt = 128
    learning_rate: PositiveFloat = 3e-3
    max_grad_norm: PositiveFloat = 1.0
    slowness: float = Field(default=0.9, ge=0, lt=1)  # of the copy that serves the agent, for each time it is trained
    penalty: PositiveFloat = 10.0  # of ridge
    fading: float = Field(default=0.9, gt=0, le=1)  # of what ridge saw earlier, for each time it is trained
    most_rows: PositiveInt = 4_000  # histories that are read each time
    gamma: float = Field(default=0.99, ge=0, le=1)  # of the returns that open the gate
    return_steps: PositiveInt = 20


class RiskConfig(Settings):
    """Which event, how far ahead, and by what."""

    # rewards that fall so far below their peak; the end of the task; or what the feed tells of, as deaths of patients
    event: Literal["auto", "drawdown", "end", "told"] = "auto"  # auto: what the feed tells of, else drawdowns
    drawdown: PositiveFloat = 0.1  # how far, in units of the reward
    horizon: PositiveInt = 20  # rows ahead
    length: PositiveInt = 8  # ticks that are looked back on
    hidden: tuple[PositiveInt, ...] = ()  # none: logistic regression, for which the next four play no part
    updates: PositiveInt = 50
    batch: PositiveInt = 256
    learning_rate: PositiveFloat = 3e-3
    decay: NonNegativeFloat = 1e-3
    calibration: Literal["line", "isotonic"] = "line"  # isotonic wants some thousand rows with a few hundred events
    steering: NonNegativeFloat = 1.0  # how much more errors count where the values of actions lie apart; 0: not at all
    most_weight: PositiveFloat = 4.0
    most_missed: float = Field(default=0.2, gt=0, lt=1)  # share of events that thresholds may miss
    penalty: PositiveFloat = 10.0  # on how far an action moves the chance of its state
    most_rows: PositiveInt = 8_000


class VolatilityConfig(Settings):
    """How the variance of the next day is forecast."""

    leverage: bool = True  # whether falls count beside how far prices moved
    penalty: PositiveFloat = 10.0  # of ridge
    refit: PositiveInt = 63  # days between fits
    least: PositiveInt = 250  # days before the first fit, and as many again before anything is said
    rate: NonNegativeFloat = 0.005  # at which the levels of quantiles follow what is seen; 0: not at all


class InnerConfig(Settings):
    """How a network adapts to a task, and how it learns to."""

    inner: Inner = "ridge"
    hidden: tuple[PositiveInt, ...] = (40, 40)
    steps: PositiveInt = 1  # of gradient descent on a task, in training; ridge needs none
    rate: PositiveFloat = 0.01  # of those steps
    learning_rate: PositiveFloat = 1e-3
    max_grad_norm: PositiveFloat = 10.0
    reptile_share: float = Field(default=0.1, gt=0, le=1)  # of the way to the adapted weights that an update moves


class ServingConfig(Settings):
    """What the models give the agent; with all of it off the agent is the same to the bit as without them."""

    forecast: bool = False  # behind its observation: how entries will change, how surely, how wide intervals are
    risk: bool = False  # behind its observation: the chance of the event
    control: Literal["none", "shuffled"] = "none"  # shuffled: what was told at other times, all of it
    shaping: NonNegativeFloat = 0.0  # rewards gain that many times how the chance of the event falls
    shield: bool = False  # the agent chooses among actions below the threshold of harm
    folds: PositiveInt = 3  # of recorded entities, each advised by models that learn from the others; 1: by one for all

    @property
    def on(self) -> bool:
        return self.forecast or self.risk or self.shield or self.shaping > 0.0


class MetaLearningConfig(Settings):
    """What learns beside the agent, and when."""

    on: bool = False
    serve: ServingConfig = ServingConfig()
    forecast: ForecastConfig = ForecastConfig()
    risk: RiskConfig = RiskConfig()
    adaptation: InnerConfig = InnerConfig()
    also: tuple[str, ...] = ()  # further models, each as my_package:MySubstrate
    support: PositiveInt = 24  # rows of a task to adapt to
    query: PositiveInt = 16  # rows of a task to be judged by
    adaptations: PositiveInt = 10  # updates of the learner of how to adapt, each time
    warm_up: NonNegativeInt = 5_000  # steps before the first update
    every: PositiveInt = 10_000  # steps between updates
    drift: Literal["page-hinkley", "adwin", "miscoverage", "none"] = "page-hinkley"  # alarms that bring updates forward
    budget: float = Field(
        default=0.2, gt=0, le=1
    )  # share of the time that models may take, unless they serve the agent
    rows: PositiveInt = 20_000  # of what was lived through that are kept to learn from
