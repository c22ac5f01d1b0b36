"""Settings of conservative Q-learning."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from angle_domains.networks import NetworkConfig
from angle_domains.replay import RecordedConfig, beside

_NETWORK = NetworkConfig(hidden=(256, 256), activation="relu")
_REPLAY = RecordedConfig(batch=256)


class CQLConfig(BaseModel):
    """Defaults are those of Kumar et al., of choices for Atari and in boxes for locomotion, as d3rlpy has them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkConfig = _NETWORK
    n_step: PositiveInt = 1
    gamma: float = Field(default=0.99, ge=0, le=1)
    alpha: NonNegativeFloat | None = None  # weight of the gap; None: 1 of choices, 5 in boxes; 0: plain Q-learning
    learning_rate: PositiveFloat | None = None  # of action values; None: 6.25e-5 of choices, 3e-4 in boxes
    tau: float | None = Field(default=None, gt=0, le=1)  # way that targets go at a time; None: choices copy, boxes .005
    bounds: tuple[float, float] | None = None  # between which every return lies: targets are held within

    # Of choices.
    scale_observation: bool = False  # entries that have bounds to the range from -1 to 1; images have their own scale
    double: bool = True
    dueling: bool = False
    critics: Literal[1, 2] = 1  # 2: networks side by side that follow by tau, and the lesser value is believed
    loss: Literal["squared", "huber"] = "squared"
    adam_epsilon: PositiveFloat = 1e-8
    max_grad_norm: PositiveFloat = 10.0
    target_every: PositiveInt = 8_000  # updates between copies to the target network, where there is no tau

    # In boxes.
    samples: PositiveInt = 10  # actions of each of three kinds by which the gap is measured
    gap: float | None = None  # to which alpha is tuned; None: it stays
    policy_learning_rate: PositiveFloat = 1e-4  # of alpha and temperature as well
    temperature: PositiveFloat = 1.0  # worth of a nat of entropy, where training starts
    tune_temperature: bool = True  # so that the entropy comes to -1 for each dimension

    replay: Annotated[RecordedConfig, beside(_REPLAY)] = _REPLAY

    @model_validator(mode="after")
    def _fits_together(self) -> "CQLConfig":
        if self.bounds is not None and self.bounds[0] >= self.bounds[1]:
            raise ValueError(
                f"bounds are the lowest return and the highest, not {self.bounds[0]:g} and {self.bounds[1]:g}"
            )
        for name in ("dueling", "scale_observation"):
            if self.critics == 2 and getattr(self, name):
                raise ValueError(f"{name} is for one critic: leave it out, or set critics to 1")
        return self
