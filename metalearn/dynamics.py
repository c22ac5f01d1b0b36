"""What recorded decisions led to, as networks: the next observation, the reward, the end, and what is usually done."""

from collections.abc import Callable

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from feeds.base import Rows
from feeds.clinical.disclosure import LEAST
from metalearn.ensemble import Decisions, Ensemble, Foresight, annealed, negative_log_likelihood, resamples
from metalearn.settings import PatientModelConfig

_FLAT = 1e-6  # a deviation below it is rounding
_MAX_GRAD_NORM = 10.0  # of each member


class Dynamics(nn.Module):
    """An ensemble and a model of the recorded decisions, with the scales of what they read; float64 once fitted.

    Entries of an observation that never change within an episode stay, those that take two values are drawn, and of
    all others the change is foreseen.
    """

    static: Bool[Tensor, " d"]
    flag: Bool[Tensor, " d"]
    low: Float[Tensor, " d"]
    high: Float[Tensor, " d"]
    obs_mean: Float[Tensor, " d"]
    obs_std: Float[Tensor, " d"]
    delta_mean: Float[Tensor, " d"]
    delta_std: Float[Tensor, " d"]
    reward_std: Float[Tensor, ""]

    def __init__(self, entries: int, space: spaces.Discrete | spaces.Box, config: PatientModelConfig) -> None:
        super().__init__()
        self.config = config
        self.choices = int(space.n) if isinstance(space, spaces.Discrete) else 0
        self.first = int(space.start) if isinstance(space, spaces.Discrete) else 0
        width = self.choices or int(np.prod(space.shape or (1,)))
        for name in ("static", "flag"):
            self.register_buffer(name, torch.zeros(entries, dtype=torch.bool))
        for name in ("low", "high", "obs_mean", "delta_mean"):
            self.register_buffer(name, torch.zeros(entries))
        for name in ("obs_std", "delta_std"):
            self.register_buffer(name, torch.ones(entries))
        self.register_buffer("reward_std", torch.ones(()))
        generator = Generator().manual_seed(config.seed)
        self.ensemble = Ensemble(config.members, entries + width, config.hidden, entries, generator)
        self.behaviour = Ensemble(1, entries, config.hidden, self.choices, generator) if self.choices else None
        self.double()

    @property
    def updates_in_all(self) -> int:
        """Of a fit: those of the ensemble, and those of the model of the recorded decisions."""
        return self.config.updates * (1 + (self.behaviour is not None))

    @property
    def moving(self) -> Bool[Tensor, " d"]:
        return ~self.static & ~self.flag

    def learn(self, rows: Rows, tell: Callable[[int], None] | None = None) -> None:
        """Fits all to recorded episodes, in float32 for speed; the same rows and seed give the same bits.

        `tell` hears how many of `updates_in_all` are done.
        """
        tell = tell or _silent
        before = np.flatnonzero(~rows.last)
        obs = torch.as_tensor(rows.observation, dtype=torch.float64).flatten(1)
        self.low, self.high = extremes(obs, torch.as_tensor(rows.entity))
        self._survey(obs, torch.as_tensor(~rows.first), torch.as_tensor(rows.reward[before + 1]))
        came = self.decisions(rows)
        self.float()
        self._fit(Decisions(*(column.float() for column in came)), tell)
        if self.behaviour is not None:
            action = torch.as_tensor(rows.action[before]).long() - self.first
            self._fit_behaviour(came.inputs[:, : obs.shape[1]].float(), action, tell)
        self.double()

    def decisions(self, rows: Rows) -> Decisions:
        """Recorded decisions in the scales of this model."""
        before = np.flatnonzero(~rows.last)
        obs = torch.as_tensor(rows.observation, dtype=torch.float64).flatten(1)
        now, later = obs[before], obs[before + 1]
        return Decisions(
            self.inputs(now, torch.as_tensor(rows.action[before])),
            (later - now - self.delta_mean) / self.delta_std,
            (later == self.high).double(),
            torch.as_tensor(rows.reward[before + 1]) / self.reward_std,
            torch.as_tensor(rows.terminated[before + 1]).double(),
        )

    def inputs(self, obs: Tensor, action: Tensor) -> Float[Tensor, "b i"]:
        """What the ensemble reads; discrete actions as one of many."""
        act = one_hot(action.long() - self.first, self.choices) if self.choices else action.flatten(1)
        return torch.cat([self._standardised(obs), act.to(self.obs_mean.dtype)], -1)

    def following(
        self, obs: Float[Tensor, "b d"], seen: Foresight, normal: Float[Tensor, "b d"], uniform: Float[Tensor, "b d"]
    ) -> Float[Tensor, "b d"]:
        """The next observation as one member foresees it, under standard normal and uniform chance."""
        changed = obs + self.delta_mean + self.delta_std * (seen.mean + seen.std * normal)
        drawn = torch.where(uniform < seen.flag.sigmoid(), self.high, self.low)
        moved = torch.where(self.flag, drawn, changed.clamp(self.low, self.high))  # beyond the records nothing is known
        return torch.where(self.static, obs, moved)

    def doubt(self, seen: Foresight) -> Float[Tensor, " b"]:
        """How far the members disagree: the root mean square over moving entries, in units of a usual change, and in
        the reward that they expect; times the standard deviation of rewards."""
        spread = seen.mean.var(0, correction=0)[..., self.moving]
        entries = spread.mean(-1).sqrt() if spread.shape[-1] else 0.0
        end = seen.ended.sigmoid()
        expected = (end * seen.final + (1.0 - end) * seen.reward).std(0, correction=0)
        return (entries + expected) * self.reward_std

    def allowed(
        self, obs: Float[Tensor, "b d"], valid: Bool[Tensor, "b n"] | None = None
    ) -> Bool[Tensor, "b n"] | None:
        """The discrete actions that are not rarer than `support` in such states, the likeliest always among them.

        Of what is not `valid` none is: the likeliest is then that of the valid ones.
        """
        if self.behaviour is None:
            return None
        chance = self.usual(obs)
        if valid is not None:
            chance = torch.where(valid, chance, -1.0)
        supported = (chance >= self.config.support) | (chance == chance.amax(-1, keepdim=True))
        return supported if valid is None else supported & valid

    def usual(self, obs: Float[Tensor, "b d"]) -> Float[Tensor, "b n"]:
        """How probable the discrete actions are in the records."""
        return self._choice(self._standardised(obs)).softmax(-1)

    def _choice(self, seen: Float[Tensor, "b d"]) -> Float[Tensor, "b n"]:
        assert self.behaviour is not None
        return self.behaviour.foresee(seen).mean[0]

    def _standardised(self, obs: Tensor) -> Tensor:
        return (obs.to(self.obs_mean.dtype) - self.obs_mean) / self.obs_std

    def _survey(self, obs: Float[Tensor, "n d"], within: Bool[Tensor, " n"], reward: Float[Tensor, " m"]) -> None:
        """Finds out what the entries do, and their scales."""
        delta = (obs[1:] - obs[:-1])[within[1:]]
        self.static = (delta == 0).all(0)
        self.flag = ~self.static & ((obs == obs.amin(0)) | (obs == obs.amax(0))).all(0)
        self.obs_mean, self.obs_std = obs.mean(0), _spread(obs)
        self.delta_mean, self.delta_std = delta.mean(0), _spread(delta)
        self.reward_std = reward.std(correction=0).clamp(min=_FLAT)

    def _fit(self, came: Decisions, tell: Callable[[int], None]) -> None:
        config, parameters = self.config, list(self.ensemble.parameters())
        optimizer = torch.optim.Adam(parameters, lr=config.learning_rate, fused=True)
        generator = Generator().manual_seed(config.seed + 1)
        draws = resamples(config.members, len(came.reward), config.batch, config.updates, generator)
        for update, chosen in enumerate(draws):
            annealed(optimizer, config.learning_rate, update / config.updates)
            batch = Decisions(*(column[chosen] for column in came))
            loss = negative_log_likelihood(self.ensemble(batch.inputs), batch, self.moving, self.flag).mean(-1).sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, _MAX_GRAD_NORM * config.members)
            optimizer.step()
            tell(update + 1)

    def _fit_behaviour(self, seen: Float[Tensor, "n d"], action: Tensor, tell: Callable[[int], None]) -> None:
        assert self.behaviour is not None
        config = self.config
        optimizer = torch.optim.Adam(self.behaviour.parameters(), lr=config.learning_rate, fused=True)
        generator = Generator().manual_seed(config.seed + 2)
        for update, chosen in enumerate(resamples(1, len(seen), config.batch, config.updates, generator)):
            annealed(optimizer, config.learning_rate, update / config.updates)
            optimizer.zero_grad(set_to_none=True)
            cross_entropy(self._choice(seen[chosen[0]]), action[chosen[0]]).backward()
            optimizer.step()
            tell(config.updates + update + 1)


def extremes(obs: Float[Tensor, "n d"], entity: Int[Tensor, " n"]) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"]]:
    """The least and the greatest value of each entry that `LEAST` patients reach, or half of fewer.

    These are kept with a run: nobody's own extreme may be. A value that fewer reach counts as never reached.
    """
    _, number = entity.unique(return_inverse=True)
    patients = int(number.max()) + 1
    rank = min(LEAST, (patients + 1) // 2) - 1
    place, blank = number[:, None].expand_as(obs), obs.new_zeros((patients, obs.shape[1]))
    low, high = (blank.scatter_reduce(0, place, obs, kind, include_self=False) for kind in ("amin", "amax"))
    return low.sort(0).values[rank], high.sort(0, descending=True).values[rank]


def _spread(values: Float[Tensor, "n d"]) -> Float[Tensor, " d"]:
    std = values.std(0, correction=0)
    return torch.where(std > _FLAT, std, 1.0)


def _silent(updates: int) -> None:
    pass
