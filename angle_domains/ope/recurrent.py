"""What was done, foreseen from all that was seen and done before: a recurrent network over the history of a stay.

A logistic regression on the present row misses what clinicians remember: the dose before, how long it has been given.
A GRU (Cho et al. 2014) reads the observation, the decision before it and the hours since. It is trained by whole
stays, and the epoch is kept that foretells best the decisions of patients it does not learn from.
"""

import copy
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn
from torch.nn.functional import log_softmax, one_hot

from angle_domains.ope.settings import BehaviourConfig
from angle_domains.optim import descend
from feeds.base import Rows

_BATCH = 32  # stays
_PATIENCE = 5  # epochs without a better one
_DECAY = 1e-4
_READ = 512  # stays through the network at once
_NEVER = -1e9  # a logit of what is forbidden; infinity has no gradient


class _Stays(NamedTuple):
    """Whole stays, padded, `[E, T, ...]`."""

    inputs: Float[Tensor, "e t i"]
    action: Tensor  # [E, T] int64
    allowed: Bool[Tensor, "e t a"]
    fitted: Bool[Tensor, "e t"]  # decisions to learn from
    kept: Bool[Tensor, "e t"]  # decisions to choose the epoch by


class _History(nn.Module):
    """Logits of the actions at every step, from all steps up to it."""

    def __init__(self, inputs: int, hidden: int, actions: int) -> None:
        super().__init__()
        self.memory = nn.GRU(inputs, hidden, batch_first=True)
        self.head = nn.Linear(hidden + inputs, actions)

    def forward(self, inputs: Float[Tensor, "e t i"]) -> Float[Tensor, "e t a"]:
        remembered, _ = self.memory(inputs)
        return self.head(torch.cat([remembered, inputs], -1))


def log_probabilities(
    rows: Rows,
    actions: int,
    fitted: Bool[np.ndarray, " n"],
    kept: Bool[np.ndarray, " n"],
    config: BehaviourConfig,
    seed: int,
) -> Float[np.ndarray, "n a"]:
    """Of every row, by a network that learned from the decisions `fitted` and was stopped by those `kept`."""
    episode = np.cumsum(rows.first) - 1
    step = np.arange(len(rows)) - rows.starts[episode]
    stays = _stays(rows, actions, fitted, kept, (episode, step))
    generator = Generator().manual_seed(seed)
    network = _begun(stays.inputs.shape[2], config.hidden, actions, generator)
    learn = torch.as_tensor(np.flatnonzero(stays.fitted.any(1).numpy()))
    optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=_DECAY)
    best, since, found = np.inf, 0, copy.deepcopy(network.state_dict())
    for _ in range(config.epochs):
        for chosen in learn[torch.randperm(len(learn), generator=generator)].split(_BATCH):
            loss = _loss(network, stays, chosen, stays.fitted)
            descend(loss, optimizer, list(network.parameters()), 1.0)
        score = _held_loss(network, stays)
        since += 1
        if score < best:
            best, since, found = score, 0, copy.deepcopy(network.state_dict())
        if since >= _PATIENCE:
            break
    network.load_state_dict(found)
    return _everywhere(network, stays)[episode, step]


def _stays(
    rows: Rows,
    actions: int,
    fitted: Bool[np.ndarray, " n"],
    kept: Bool[np.ndarray, " n"],
    at: tuple[np.ndarray, np.ndarray],
) -> _Stays:
    """Scales come from the decisions that are learned from."""
    shape = len(rows.starts), int(at[1].max()) + 1

    def padded(values: np.ndarray) -> Tensor:
        table = np.zeros((*shape, *values.shape[1:]), values.dtype)
        table[at] = values
        return torch.from_numpy(table)

    seen = rows.observation.reshape(len(rows), -1).astype(np.float64)
    mean, spread = seen[fitted].mean(0), seen[fitted].std(0)
    scaled = np.clip((seen - mean) / np.where(spread > 1e-6, spread, 1.0), -10.0, 10.0)
    action = rows.action.reshape(len(rows)).astype(np.int64)
    before = one_hot(torch.from_numpy(np.roll(action, 1)), actions).numpy() * ~rows.first[:, None]
    hours = np.log1p(np.maximum(rows.elapsed, 0.0))
    allowed = np.ones((len(rows), actions), bool) if rows.mask is None else rows.mask
    inputs = np.concatenate([scaled, before, hours[:, None], rows.first[:, None]], 1).astype(np.float32)
    return _Stays(padded(inputs), padded(action), padded(allowed), padded(fitted), padded(kept))


def _begun(inputs: int, hidden: int, actions: int, generator: Generator) -> _History:
    network = _History(inputs, hidden, actions)
    for parameter in network.parameters():
        bound = 1.0 / np.sqrt(hidden)
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return network


def _logits(network: _History, stays: _Stays, chosen: Tensor) -> Float[Tensor, "e t a"]:
    return network(stays.inputs[chosen]).masked_fill(~stays.allowed[chosen], _NEVER)


def _loss(network: _History, stays: _Stays, chosen: Tensor, which: Bool[Tensor, "e t"]) -> Float[Tensor, ""]:
    length = int(which[chosen].any(0).nonzero().max()) + 1  # what comes behind is padding
    stays = _Stays(*(column[:, :length] for column in stays))
    log_prob = log_softmax(_logits(network, stays, chosen), -1)
    taken = log_prob.gather(-1, stays.action[chosen][..., None])[..., 0]
    return -taken[which[chosen, :length]].mean()


@torch.no_grad()
def _held_loss(network: _History, stays: _Stays) -> float:
    held = stays.kept.any(1).nonzero()[:, 0]
    parts = [
        (_loss(network, stays, part, stays.kept).item(), int(stays.kept[part].sum())) for part in held.split(_READ)
    ]
    return sum(loss * count for loss, count in parts) / sum(count for _, count in parts)


@torch.no_grad()
def _everywhere(network: _History, stays: _Stays) -> Float[np.ndarray, "e t a"]:
    """Masks are left to the caller: a temperature is fitted under them."""
    parts = [log_softmax(network(part), -1) for part in stays.inputs.split(_READ)]
    return torch.cat(parts).numpy().astype(np.float64)
