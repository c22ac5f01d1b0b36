"""First states for practice that are nobody's: a model's streams go into checkpoints, and no patient's row may."""

import torch
from jaxtyping import Float
from torch import Tensor

GROUP = 11  # patients whose entries are mixed
_CANDIDATES = 5_000  # among which neighbours are sought
_CHUNK = 512


def mixed(starts: Float[Tensor, "n d"], seed: int) -> Float[Tensor, "n d"]:
    """As many states, each entry that of a patient drawn from the `GROUP` nearest, itself among them.

    Nearest by entries in standard deviations. A state that `GROUP` patients share stays as it is; of fewer patients
    than a group all are mixed.
    """
    generator = torch.Generator().manual_seed(seed)
    count = len(starts)
    scaled = starts / starts.std(0, correction=0).clamp(min=1e-9)
    among = torch.randperm(count, generator=generator)[:_CANDIDATES]
    size = min(GROUP, len(among))
    made = []
    for chunk in torch.arange(count).split(_CHUNK):
        near = among[torch.cdist(scaled[chunk], scaled[among]).topk(size, largest=False).indices]
        drawn = torch.randint(size, (len(chunk), starts.shape[1]), generator=generator)
        made.append(starts[near.gather(1, drawn), torch.arange(starts.shape[1])])
    return torch.cat(made)
