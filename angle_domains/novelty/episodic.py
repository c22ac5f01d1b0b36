"""How new an observation is within its episode (Badia et al. 2020, "Never Give Up", arXiv:2002.06038, algorithm 1).

Each stream remembers the embeddings that it saw since its episode began, and compares the next one to the nearest of
them. What is remembered is a dict of tensors, fit to live in an agent's memory:
- `place` [B, M, D]: embeddings, a ring once M is the capacity; until then M doubles when a stream needs more room.
- `count` [B] int64: embeddings since the episode began, those that were overwritten included.
- `total` [B] float64, `seen` [B] int64: sum and number of all squared distances to neighbours so far. The running mean
  that distances are divided by is one of each stream, as every actor of the paper has its own, and outlives episodes.

Differs from the paper: the first observation of an episode, which no action led to, is worth 0 (1 / c by the
algorithm). With fewer than k observations in memory the sum is over those there are.
"""

import torch
from jaxtyping import Bool, Float, Int
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

Episodic = dict[str, Tensor]

_ROOM = 64  # embeddings of each stream to begin with


class EpisodicConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    capacity: PositiveInt = 30_000  # embeddings of each stream
    neighbours: PositiveInt = 10
    epsilon: PositiveFloat = 1e-4  # of the kernel; the paper's text says 1e-3, its table 1e-4
    cluster: NonNegativeFloat = 8e-3  # a distance up to it, in units of the running mean, counts as none
    constant: PositiveFloat = 1e-3  # pseudo-counts
    most_similar: PositiveFloat = 8.0  # beyond it an observation is not worth anything


def blank(streams: int, size: int, device: str | torch.device = "cpu") -> Episodic:
    """The memory of streams that saw nothing yet, for embeddings of that size."""
    return {
        "place": torch.zeros(streams, _ROOM, size, device=device),
        "count": torch.zeros(streams, dtype=torch.int64, device=device),
        "total": torch.zeros(streams, dtype=torch.float64, device=device),
        "seen": torch.zeros(streams, dtype=torch.int64, device=device),
    }


@torch.no_grad()
def look(
    config: EpisodicConfig, memory: Episodic, embedding: Float[Tensor, "b d"], first: Bool[Tensor, " b"]
) -> tuple[Float[Tensor, " b"], Episodic]:
    """What each stream's embedding is worth, and the memory that holds it; `first` is where an episode begins.

    The memory handed in is spent: its room is written to, not copied. Until the ring is full, asking the same again
    gives the same.
    """
    count = memory["count"] * ~first
    distance = nearest(memory["place"], count, embedding, config.neighbours)
    there = distance.isfinite()
    total = memory["total"] + distance.masked_fill(~there, 0.0).sum(-1, dtype=torch.float64)
    seen = memory["seen"] + there.sum(-1)
    mean = (total / seen.clamp(min=1)).to(distance.dtype)
    reward = torch.where(count > 0, worth(config, distance, mean), 0.0)
    place = _written(memory["place"], count, embedding, config.capacity)
    return reward, {"place": place, "count": count + 1, "total": total, "seen": seen}


def nearest(
    place: Float[Tensor, "b m d"], count: Int[Tensor, " b"], embedding: Float[Tensor, "b d"], neighbours: int
) -> Float[Tensor, "b k"]:
    """Squared distances to the nearest of what each stream remembers, ascending; infinite where there are fewer."""
    used = max(min(int(count.max()), place.shape[1]), neighbours)
    held = torch.arange(used, device=place.device) < count.unsqueeze(-1)
    distance = place.new_full(held.shape, torch.inf)
    room = place[:, :used]
    exact = torch.cdist(embedding.unsqueeze(1), room, compute_mode="donot_use_mm_for_euclid_dist").squeeze(1).square()
    distance[:, : room.shape[1]] = exact
    return distance.masked_fill_(~held, torch.inf).topk(neighbours, largest=False).values


def worth(config: EpisodicConfig, distance: Float[Tensor, "b k"], mean: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """1 / (√ΣK + c) with K = ε / (d + ε), where d are the distances in units of the mean, less those of a cluster."""
    unit = torch.where(mean > 0, mean, 1.0).unsqueeze(-1)
    rate = (distance / unit - config.cluster).clamp(min=0.0)
    similarity = (config.epsilon / (rate + config.epsilon)).sum(-1).sqrt() + config.constant
    return torch.where(similarity > config.most_similar, 0.0, 1.0 / similarity)


def _written(
    place: Float[Tensor, "b m d"], count: Int[Tensor, " b"], embedding: Float[Tensor, "b d"], capacity: int
) -> Float[Tensor, "b n d"]:
    """With each stream's embedding behind those it remembers, or over the oldest at capacity."""
    room = place.shape[1]
    if room > capacity:
        place, room = place[:, :capacity].clone(), capacity
    elif room < capacity and int(count.max()) >= room:
        more = place.new_zeros(len(place), min(room, capacity - room), place.shape[2])
        place, room = torch.cat([place, more], 1), room + more.shape[1]
    place[torch.arange(len(place), device=place.device), count % room] = embedding
    return place
