"""Settings of the networks of an agent."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, model_validator

from angle_domains.errors import ConfigError

Precision = Literal["auto", "float32", "bfloat16"]

IMAGE_HIDDEN: dict[str, tuple[int, ...]] = {"nature": (512,), "impala": (256,), "minatar": (128,)}


class NetworkConfig(BaseModel):
    """`mlp` reads the observation as one vector; `window` reads its price window by convolutions first; `set` reads
    every asset by the same encoder, so that the order of the assets does not matter. `nature`, `impala` and `minatar`
    read images.

    `hidden` are the dense layers: all of an `mlp`, those after the convolutions of the others. What is not set is as
    the kind's paper has it: images are read by one body, through rectifiers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["mlp", "window", "set", "nature", "impala", "minatar"] = "mlp"
    hidden: tuple[PositiveInt, ...] = (64, 64)  # of images: 512 for nature, 256 for impala, 128 for minatar
    activation: Literal["tanh", "relu", "silu", "gelu"] = "tanh"  # of images: relu
    shared: bool = False  # policy and value read the observation through one body; of images, or with a memory: true
    recurrent: NonNegativeInt = 0  # size of an LSTM between the shared body and what is decided on it; 0: none
    pooling: Literal["mean", "attention"] = "mean"  # of the assets, in a set
    channels: tuple[PositiveInt, PositiveInt] = (8, 16)  # of the two convolutions over a window
    kernel: PositiveInt = 3  # bars that the first convolution spans
    precision: Precision = "auto"  # of the layers that read images; "auto": bfloat16 where the processor has it

    @property
    def images(self) -> bool:
        """Whether it reads images `[C, H, W]`, handed over as they are."""
        return self.kind in IMAGE_HIDDEN

    @property
    def value_kept(self) -> bool:
        """Whether an agent on policy keeps the values it had when it acted, since reading them anew is dear."""
        return self.images or self.recurrent > 0

    def check_no_memory(self) -> None:
        """ConfigError where there is a memory, for agents that learn from rows out of their order."""
        if self.recurrent:
            raise ConfigError(
                f"agent.network.recurrent is {self.recurrent}, and this agent has no memory: set it to 0, "
                "or use ppo or a2c"
            )

    @model_validator(mode="before")
    @classmethod
    def _of_its_kind(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        kind = str(given.get("kind", "mlp"))
        images = {"hidden": IMAGE_HIDDEN[kind], "activation": "relu", "shared": True} if kind in IMAGE_HIDDEN else {}
        memory = {"shared": True} if given.get("recurrent") else {}
        return images | memory | given

    @model_validator(mode="after")
    def _fits_together(self) -> "NetworkConfig":
        if not self.hidden and not self.images:
            raise ValueError(f"network.hidden is empty, and kind '{self.kind}' needs at least one layer")
        if self.recurrent and not self.shared:
            raise ValueError(
                "policy and value have one memory: leave network.shared out, or set network.recurrent to 0"
            )
        if self.recurrent and self.kind == "set":
            raise ValueError("network.kind 'set' decides asset by asset and has no memory: set network.recurrent to 0")
        return self
