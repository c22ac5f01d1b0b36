"""Settings of a neural dictionary."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt


class DictionaryConfig(BaseModel):
    """Defaults are those of Pritzel et al. for Atari; the index is ours."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    capacity: PositiveInt = 500_000  # entries of each action
    neighbours: PositiveInt = 50  # entries that speak for a key
    delta: PositiveFloat = 1e-3  # of the kernel 1 / (squared distance + delta)
    alpha: float = Field(default=0.1, gt=0, le=1)  # share of the way to a new return, where a key is met again
    key_rate: NonNegativeFloat = 1e-5  # learning rate of the keys that were retrieved; 0: they stay as written
    value_rate: NonNegativeFloat = 1e-5  # of their values
    index: Literal["exact", "faiss"] = "exact"  # "faiss": approximate neighbours, for hundreds of thousands of entries
    cells: PositiveInt | None = None  # of that index; None: the square root of the number of entries
    probes: PositiveInt = 16  # cells that are searched for a key
    stale: float = Field(default=0.02, ge=0, le=1)  # share of entries, from 4,096 on, that the index may not know
