"""Fitted-Q evaluation for discrete actions by a network (Le, Voloshin and Yue 2019), with a check that it is done.

The network learns `q(s, a) = gamma ** (hours - 1) · r + gamma ** hours · sum over b of target(b | s') q(s', b)` (see
`ope.episodes.discounts`): no value lies beyond where the task ended, and a record that was cut goes on from its last
observation. Too few updates give a number that looks like a value and is none: what happens at the end has not yet
come through to the first states. So the value is given only where three things hold over several checks in a row: the
value of first states stands still, the values of all states do, and the mean Bellman error, over a stay of mean length,
is small against the spread of returns.

A network fitted to a patient knows that patient's luck, and weighted surprises about it are too small: so what is
corrected by weights is read where the network has not learned (`cross_fit`).

Differs from the paper: gradient steps against a copy of the network that is renewed now and then, not a regression
run to its end each time.
"""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt
from torch import Tensor

from angle_domains.networks.config import NetworkConfig
from angle_domains.networks.q import QHead, QNetwork
from angle_domains.ope.episodes import Places, from_rows, paid, places, returns
from angle_domains.ope.folds import folds, part
from angle_domains.optim import descend
from feeds.base import FeedSpec, Rows

_READ = 8_192  # observations through the network at once
_JUDGED = 4_096  # decisions by which convergence is judged


class FqeConfig(BaseModel):
    """How the values are fitted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkConfig = NetworkConfig(hidden=(128, 128), activation="relu")
    updates: PositiveInt = 20_000  # at most
    batch: PositiveInt = 256
    learning_rate: PositiveFloat = 1e-3
    copy_every: PositiveInt = 100  # updates after which the network is copied for the targets
    check_every: PositiveInt = 500
    checks: int = Field(default=5, ge=2)  # in a row that must agree
    tolerance: PositiveFloat = 0.05  # of what still moves, in standard deviations of the recorded returns
    max_grad_norm: PositiveFloat = 10.0
    device: str = "cpu"


@dataclass(frozen=True)
class FqeFit:
    """Values of all actions in every row; `value` is None where the fit did not converge."""

    q: Float[np.ndarray, "n a"]
    value: float | None
    converged: bool
    updates: int
    history: tuple[float, ...]  # the value of first states at each check

    def words(self) -> str:
        if self.value is None:
            last = f", when it stood at {self.history[-1]:.4g}" if self.history else ""
            return f"fitted-Q evaluation has not converged after {self.updates:,} updates{last}: no value"
        return f"fitted-Q evaluation converged after {self.updates:,} updates"


class _Data(NamedTuple):
    """Decisions as tensors; rewards in standard deviations of the returns."""

    obs: Tensor
    action: Tensor
    reward: Tensor
    discount: Tensor  # 0 where the task ended
    after: Tensor
    target: Tensor  # the policy's probabilities where the decision led
    first: Tensor  # observations that stays begin with
    begun: Tensor  # the policy's probabilities there
    scale: float
    length: float  # mean decisions of a stay


class _Check(NamedTuple):
    value: float
    values: Tensor
    error: float  # mean Bellman error times the length of a stay


def cross_fit(
    rows: Rows,
    target: Float[np.ndarray, "n a"],
    gamma: float,
    config: FqeConfig | None = None,
    *,
    count: int = 5,
    seed: int = 0,
) -> FqeFit:
    """Values in every row, of each patient by networks that learned from patients in other folds alone.

    It has converged where every fold has. `value` is then the mean over stays of the value of their first state.
    """
    number = folds(rows.entity, count, seed)
    q, fits = np.empty(target.shape), []
    for fold in range(count):
        away = number == fold
        fits.append(fit(part(rows, ~away), target[~away], gamma, config, seed=seed + fold, read=part(rows, away)))
        q[away] = fits[-1].q
        if not fits[-1].converged:  # the others could not make up for it
            return FqeFit(q, None, False, sum(each.updates for each in fits), fits[-1].history)
    at = places(rows)
    begun = at.row[at.step == 0]
    value = float((q[begun] * target[begun]).sum(1).mean())
    return FqeFit(q, value, True, sum(each.updates for each in fits), fits[-1].history)


def fit(
    rows: Rows,
    target: Float[np.ndarray, "n a"],
    gamma: float,
    config: FqeConfig | None = None,
    *,
    seed: int = 0,
    read: Rows | None = None,
) -> FqeFit:
    """Values under the target's probabilities of all actions in every row, or in every row of `read`."""
    config = config or FqeConfig()
    generator = torch.Generator().manual_seed(seed)
    data = _data(rows, target, gamma, config.device)
    network, frozen = (_network(rows, target.shape[1], config, torch.Generator().manual_seed(seed)) for _ in range(2))
    parameters = list(network.parameters())
    optimizer = torch.optim.Adam(parameters, config.learning_rate)
    recent: deque[_Check] = deque(maxlen=config.checks)
    history: list[float] = []
    judged = torch.randperm(len(data.obs), generator=generator)[:_JUDGED].to(config.device)
    for update in range(1, config.updates + 1):
        index = torch.randint(len(data.obs), (config.batch,), generator=generator).to(config.device)
        q = _values(network, data.obs[index]).gather(1, data.action[index, None])[:, 0]
        loss = (q - _aim(frozen, data, index)).square().mean()
        descend(loss, optimizer, parameters, config.max_grad_norm)
        if update % config.copy_every == 0:
            frozen.load_state_dict(network.state_dict())
        if update % config.check_every == 0:
            recent.append(_check(network, data, judged))
            history.append(recent[-1].value * data.scale)
            if converged(recent, config):
                break
    done = converged(recent, config)
    value = float(np.mean([check.value for check in recent])) * data.scale if done else None
    return FqeFit(
        _everywhere(network, rows if read is None else read, config.device) * data.scale,
        value,
        done,
        update,
        tuple(history),
    )


def converged(recent: "deque[_Check]", config: FqeConfig) -> bool:
    """Whether the last checks agree: in first states, in all states, and with the Bellman equation."""
    if len(recent) < config.checks:
        return False
    first = [check.value for check in recent]
    moved = (recent[-1].values - recent[0].values).square().mean().sqrt().item()
    error = abs(float(np.mean([check.error for check in recent])))
    return max(max(first) - min(first), error, moved / 2) < config.tolerance


@torch.no_grad()
def _check(network: QNetwork, data: _Data, judged: Tensor) -> _Check:
    q = _values(network, data.obs[judged]).gather(1, data.action[judged, None])[:, 0]
    error = (_aim(network, data, judged) - q).mean().item() * data.length
    first = (_values(network, data.first) * data.begun).sum(1).mean().item()
    return _Check(first, q, error)


@torch.no_grad()
def _aim(network: QNetwork, data: _Data, index: Tensor) -> Float[Tensor, " b"]:
    after = (_values(network, data.after[index]) * data.target[index]).sum(1)
    return data.reward[index] + data.discount[index] * after


def _values(network: QNetwork, obs: Tensor) -> Float[Tensor, "b a"]:
    return network(obs)[..., 0]


def _network(rows: Rows, actions: int, config: FqeConfig, generator: torch.Generator) -> QNetwork:
    space = spaces.Box(-np.inf, np.inf, (int(np.prod(rows.observation.shape[1:])),), np.float32)
    spec = FeedSpec(name="records", observation_space=space, action_space=spaces.Discrete(actions))
    return QNetwork(spec, config.network, QHead(), actions, generator).to(config.device)


@torch.no_grad()
def _everywhere(network: QNetwork, rows: Rows, device: str) -> Float[np.ndarray, "n a"]:
    obs = _observations(rows, device)
    parts = [_values(network, obs[start : start + _READ]).cpu() for start in range(0, len(obs), _READ)]
    return torch.cat(parts).numpy().astype(np.float64)


def _observations(rows: Rows, device: str) -> Float[Tensor, "n d"]:
    return torch.as_tensor(rows.observation.reshape(len(rows), -1).astype(np.float32), device=device)


def _data(rows: Rows, target: Float[np.ndarray, "n a"], gamma: float, device: str) -> _Data:
    at = places(rows)
    scale = _spread(rows, at, gamma)

    def tensor(values: np.ndarray) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(values, np.float32), device=device)

    obs, behind, first = _observations(rows, device), at.row + 1, at.row[at.step == 0]
    return _Data(
        obs=obs[at.row],
        action=torch.as_tensor(rows.action.reshape(len(rows))[at.row].astype(np.int64), device=device),
        reward=tensor(paid(rows.elapsed[behind], gamma) * rows.reward[behind] / scale),
        discount=tensor(np.where(rows.terminated[behind], 0.0, gamma ** rows.elapsed[behind])),
        after=obs[behind],
        target=tensor(target[behind]),
        first=obs[first],
        begun=tensor(target[first]),
        scale=scale,
        length=len(at.row) / len(at.end),
    )


def _spread(rows: Rows, at: Places, gamma: float) -> float:
    """Standard deviation of the recorded returns; 1 where they are all the same."""
    episodes = from_rows(rows, np.ones(len(rows)), behaviour=np.ones(len(rows)))
    spread = float(returns(episodes, gamma).std())
    return spread if spread > 1e-12 else 1.0
