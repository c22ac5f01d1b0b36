"""Settings of the experience that off-policy agents keep and of how often they learn from it."""

from typing import Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveFloat, PositiveInt


class ReplayConfig(BaseModel):
    """Steps are environment steps, rows of all streams together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    capacity: PositiveInt = 1_000_000  # rows
    storage: Literal["auto", "memory", "disk", "device"] = "auto"  # "disk": a memory-mapped file, as auto takes where
    # memory is short; "device": where it computes
    warm_up: PositiveInt = 20_000  # steps before the first update
    learn_every: PositiveFloat = 4.0  # steps for each update; below 1, several updates for each step
    batch: PositiveInt = 32  # windows of an update
    prioritised: bool = False
    alpha: float = Field(default=0.5, ge=0, le=1)  # exponent of priorities; 0 draws uniformly
    beta: float = Field(default=0.4, ge=0, le=1)  # exponent of importance weights, where training starts
    beta_end: float = Field(default=1.0, ge=0, le=1)
    beta_steps: PositiveInt | None = None  # steps until `beta_end`; None: `beta` stays


class RecordedConfig(BaseModel):
    """What an agent that learns from a log draws of it; a step is an update."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch: PositiveInt = 256  # windows of an update
    prioritised: bool = False
    alpha: float = Field(default=0.5, ge=0, le=1)  # exponent of priorities; 0 draws uniformly
    beta: float = Field(default=0.4, ge=0, le=1)  # exponent of importance weights, where training starts
    beta_end: float = Field(default=1.0, ge=0, le=1)
    beta_steps: PositiveInt | None = None  # updates until `beta_end`; None: `beta` stays

    @property
    def learn_every(self) -> float:
        return 1.0

    @property
    def warm_up(self) -> int:
        return 0


def beside(default: ReplayConfig | RecordedConfig) -> BeforeValidator:
    """For an agent's field: what a user leaves out is that of the agent's default, not of the class."""
    return BeforeValidator(lambda given: default.model_dump() | given if isinstance(given, dict) else given)
