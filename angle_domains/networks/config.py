"""Settings of the networks of an agent."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt


class NetworkConfig(BaseModel):
    """`mlp` reads the observation as one vector; `window` reads its price window by convolutions first; `set` reads
    every asset by the same encoder, so that the order of the assets does not matter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["mlp", "window", "set"] = "mlp"
    hidden: tuple[PositiveInt, ...] = Field(default=(64, 64), min_length=1)
    activation: Literal["tanh", "relu", "silu", "gelu"] = "tanh"
    shared: bool = False  # policy and value read the observation through one body
    pooling: Literal["mean", "attention"] = "mean"  # of the assets, in a set
    channels: tuple[PositiveInt, PositiveInt] = (8, 16)  # of the two convolutions over a window
    kernel: PositiveInt = 3  # bars that the first convolution spans
