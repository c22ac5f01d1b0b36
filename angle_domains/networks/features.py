"""What torsos make of observations."""

from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


class Features(NamedTuple):
    whole: Float[Tensor, "*b h"]  # of the observation
    items: Float[Tensor, "*b n e"] | None = None  # of each asset, where the torso tells them apart


@runtime_checkable
class Torso(Protocol):
    """`item_size` is 0 where the features are of the whole alone."""

    whole_size: int
    item_size: int
