"""What is in force in the streams of a patient model, as the codec of the records has it: known, and not foreseen."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from feeds.base import LoggedFeed
from feeds.clinical.episodes import doses_of
from feeds.clinical.feed import ClinicalFeed


class Dosing:
    """Doses `[B, K]` in the units of the schema, float64, on the device they came on."""

    def __init__(self, feed: ClinicalFeed) -> None:
        self.codec, block = feed.codec, feed.spec.block("dose")
        self.place = None if block is None else slice(block.start, block.stop)
        self.starts: dict[str, Float[Tensor, "e k"]] = {}  # when the stays of a part begin
        for split in feed.spec.splits:
            records = feed.part(split)
            before = doses_of(records, feed.codec, feed.config).before[records.starts]
            self.starts[split] = torch.as_tensor(before, dtype=torch.float64)

    def after(self, action: Tensor, before: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
        """What a decision leaves in force."""
        return _like(before, self.codec.decode(action.cpu().numpy(), before.cpu().numpy()))

    def allowed(self, before: Float[Tensor, "b k"]) -> Bool[Tensor, "b a"] | None:
        """The actions that the codec has there; None where it always has all."""
        mask = self.codec.mask(before.cpu().numpy())
        return None if mask is None else torch.as_tensor(mask, device=before.device)

    def shown(self, obs: Float[Tensor, "b d"], before: Float[Tensor, "b k"]) -> Float[Tensor, "b d"]:
        """The observation with the doses that are in force, where it shows any."""
        if self.place is None:
            return obs
        told = obs.clone()
        told[:, self.place] = _like(obs, self.codec.show(before.cpu().numpy()))
        return told


def dosing_of(feed: LoggedFeed) -> Dosing | None:
    """None where the actions that a feed allows, and what it shows, hang on no dose."""
    if not isinstance(feed, ClinicalFeed):
        return None
    nothing = np.zeros((1, len(feed.codec.columns)))
    return Dosing(feed) if feed.codec.context or feed.codec.mask(nothing) is not None else None


def _like(other: Tensor, values: np.ndarray) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64, device=other.device)
