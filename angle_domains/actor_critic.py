"""What on-policy actor-critics share: acting with a PolicyModel, and turning a window into samples to learn from."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from angle_domains.chance import seeded
from angle_domains.distributions import Distribution, to_show
from angle_domains.errors import CheckpointError, ConfigError, TrainingError, other_network
from angle_domains.losses.returns import gae
from angle_domains.networks import HeadKind, NetworkConfig, Past, PolicyModel, exchangeable_columns, observation_size
from angle_domains.normalise import ReturnScaler, RunningMoments
from angle_domains.optim import gradients
from angle_domains.types import Decision, Percept, Window
from feeds.base import FeedSpec


@runtime_checkable
class ActorCriticSettings(Protocol):
    """The hyperparameters that all actor-critics have."""

    @property
    def network(self) -> NetworkConfig: ...
    @property
    def head(self) -> HeadKind: ...
    @property
    def log_std(self) -> float: ...
    @property
    def gamma(self) -> float: ...
    @property
    def lambda_(self) -> float: ...
    @property
    def normalise_observation(self) -> bool: ...
    @property
    def normalise_reward(self) -> bool: ...


class Samples(NamedTuple):
    """Rows of a window, one a sample, stream and time flattened; the rows of resetting streams are left out."""

    obs: Tensor  # [n, *obs] images as they are, all else flat; with a `past` the sequences [T, b, *obs] they are of
    raw: Tensor  # [n, ...] actions as the distribution sampled them
    numbers: Float[Tensor, "n 4"]  # in one tensor, so that a minibatch is gathered by few calls
    mask: Tensor | None
    past: Past | None = None  # of a recurrent network

    @property
    def log_prob(self) -> Float[Tensor, " n"]:
        return self.numbers[:, 0]

    @property
    def advantage(self) -> Float[Tensor, " n"]:
        return self.numbers[:, 1]

    @property
    def target(self) -> Float[Tensor, " n"]:
        return self.numbers[:, 2]

    @property
    def value(self) -> Float[Tensor, " n"]:
        """The value when the sample was taken."""
        return self.numbers[:, 3]

    def judged(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Values and their targets of the samples at `index`."""
        return self.value[index], self.target[index]

    def flatten(self) -> "Samples":
        """The samples of rows `[T, B, ...]`."""
        mask = None if self.mask is None else self.mask.flatten(0, 1)
        return Samples(self.obs.flatten(0, 1), self.raw.flatten(0, 1), self.numbers.flatten(0, 1), mask)

    def take(self, index: Tensor) -> "Samples":
        """The samples at `index`, each tensor contiguous."""
        return Samples(
            self.obs.index_select(0, index),
            self.raw.index_select(0, index),
            self.numbers.index_select(0, index),
            None if self.mask is None else self.mask.index_select(0, index),
        )


class Sequences(NamedTuple):
    """The rows of a window, stream by stream, for a network that must read them in order."""

    rows: Samples  # each [T, B, ...]
    real: Bool[Tensor, "t b"]  # where the action was taken
    first: Bool[Tensor, "t b"]
    memory: Float[Tensor, "b 2 n"]  # before the first row, as it was when the agent acted

    def judged(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Values and their targets of the streams at `index`, where an action was taken."""
        numbers = self.rows.numbers[:, index][self.real[:, index]]
        return numbers[:, 3], numbers[:, 2]

    def take(self, index: Tensor) -> Samples:
        """The samples of the streams at `index`."""
        taken = self.real.index_select(1, index).flatten().nonzero().squeeze(-1)

        def column(rows: Tensor) -> Tensor:
            return rows.index_select(1, index).flatten(0, 1).index_select(0, taken)

        rows, mask = self.rows, self.rows.mask
        past = Past(self.first.index_select(1, index), self.memory.index_select(0, index), taken)
        obs = rows.obs.index_select(1, index)
        return Samples(obs, column(rows.raw), column(rows.numbers), None if mask is None else column(mask), past)


class ActorCritic:
    """A PolicyModel with its normalisers and its generator.

    In a row it stores `raw` and `log_prob`; where reading is dear the `value`, and with a memory what that was before.
    """

    def __init__(self, settings: ActorCriticSettings, spec: FeedSpec, *, streams: int, seed: int, device: str) -> None:
        self.settings, self.device = settings, torch.device(device)
        self.model = PolicyModel(
            spec,
            settings.network,
            settings.head,
            log_std=settings.log_std,
            generator=seeded(seed, "network"),
        ).to(self.device)
        self.parameters = list(self.model.parameters())
        self.generator = seeded(seed, "decisions", self.device)
        self.moments = _moments(settings, spec, device)
        self.scaler = ReturnScaler(streams, gamma=settings.gamma, device=device) if settings.normalise_reward else None

    @torch.no_grad()
    def act(self, percept: Percept, memory: Tensor | None = None, *, explore: bool) -> Decision:
        """A sampled decision with its log-probability, or without `explore` the distribution's mode."""
        distribution, kept, memory = self._read(percept, memory, keep=explore)
        if not explore:
            action = self.model.head.action(distribution.mode())
            return Decision(action, memory, to_show(distribution))  # to be shown, not stored
        raw = distribution.sample(self.generator)
        extras = {"raw": raw, "log_prob": distribution.log_prob(raw), **kept}
        return Decision(self.model.head.action(raw), memory, extras)

    def _read(
        self, percept: Percept, memory: Tensor | None, *, keep: bool
    ) -> tuple[Distribution, dict[str, Tensor], Tensor | None]:
        """The distribution of actions, what else the row is to keep, and the memory from here on."""
        obs, mask = self.see(percept.obs), None if percept.mask is None else percept.mask.to(self.device)
        if self.model.recurrence is not None:
            before = self.model.recurrence.blank(len(obs)) if memory is None else memory.to(self.device)
            past = Past(percept.first.to(self.device).unsqueeze(0), before)
            distribution, value, after = self.model.step(obs, mask, past)
            return distribution, {"value": value, "memory": before}, after
        if keep and self.settings.network.value_kept:
            distribution, value = self.model.evaluate(obs, mask)
            return distribution, {"value": value}, None
        return self.model(obs, mask), {}, None

    def see(self, obs: Tensor, axes: int = 1) -> Tensor:
        """Observations as the model reads them: images as they are, all else flat beyond the first axes, and float."""
        if self.settings.network.images:
            return obs.to(self.device)
        flat = obs.flatten(axes).to(self.device, torch.float32)
        return flat if self.moments is None else self.moments.normalise(flat)

    def worth(self, obs: Tensor) -> Float[Tensor, "b 1"]:
        """The value of states; of a network with a memory as they would begin an episode."""
        seen = self.see(obs)
        if self.model.recurrence is None:
            return self.model.value(seen).unsqueeze(-1)
        begins = torch.ones(1, len(seen), dtype=torch.bool, device=self.device)
        return self.model.step(seen, None, Past(begins, self.model.recurrence.blank(len(seen))))[1].unsqueeze(-1)

    @torch.no_grad()
    def samples(self, window: Window) -> tuple[Samples | Sequences, Tensor]:
        """All rows of a window, and the index of what can be taken of them. No side effect.

        That are the rows whose action was taken; for a recurrent network the streams that have such rows. Raises
        TrainingError where a value, an advantage or a log-probability is not finite.
        """
        obs = self.see(window.obs, axes=2)
        steps, real = len(window.action), window.real
        value = self._values(window, obs)
        reward = window.reward if self.scaler is None else self.scaler.scale(window.reward)
        gamma = self.settings.gamma
        advantage = gae(reward * window.paid(gamma), window.discounted(gamma), real, value, self.settings.lambda_)
        log_prob = window.extras["log_prob"][:steps]
        numbers = torch.stack([log_prob, advantage, advantage + value[:-1], value[:-1]], -1)
        taken = real.flatten().nonzero().squeeze(-1)
        if not torch.isfinite(numbers.flatten(0, 1)[taken]).all():
            raise TrainingError("an advantage, a value or a log-probability is not finite")
        mask = window.percept.mask
        rows = Samples(obs[:-1], window.extras["raw"][:steps], numbers, None if mask is None else mask[:-1])
        if self.model.recurrence is None:
            return rows.flatten(), taken
        sequences = Sequences(rows, real > 0, window.percept.first[:-1], window.extras["memory"][0])
        return sequences, sequences.real.any(0).nonzero().squeeze(-1)

    def _values(self, window: Window, obs: Tensor) -> Float[Tensor, "t b"]:
        """Of all observations: read anew, or where that is dear as they were when the agent acted, but for the last."""
        if not self.settings.network.value_kept:
            return self.model.value(obs)
        if self.model.recurrence is None:
            last = self.model.value(obs[-1])
        else:
            past = Past(window.percept.first[-2:], window.extras["memory"][-2])
            last = self.model.evaluate(obs[-2:], None, past)[1][-obs.shape[1] :]
        return torch.cat([window.extras["value"][:-1], last.unsqueeze(0)])

    def weigh_rewards(self, window: Window) -> None:
        """Takes the rewards of a window into their scale, before it is learned."""
        if self.scaler is not None:
            self.scaler.update(window.reward, window.percept.first[:-1], window.real)

    def weigh_observations(self, window: Window) -> None:
        """Takes the observations of a window into their moments, after it was learned."""
        if self.moments is not None:
            self.moments.update(window.obs[:-1].flatten(2).to(torch.float32))

    def portrait(self) -> dict[str, Tensor]:
        """The gradients: it has no action values."""
        return gradients(self.model)

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": dict(self.model.state_dict()),
            "generator": self.generator.get_state(),
            "moments": None if self.moments is None else self.moments.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where it belongs to another network or other settings."""
        try:
            self.model.load_state_dict(state["model"])
        except RuntimeError as error:
            raise other_network(error) from error
        for part, name in ((self.moments, "moments"), (self.scaler, "scaler")):
            if (part is None) != (state[name] is None):
                raise CheckpointError(f"the checkpoint and the settings disagree on whether there is a '{name}'")
            if part is not None:
                part.load_state_dict(state[name])
        self.generator.set_state(state["generator"].cpu())


def _moments(settings: ActorCriticSettings, spec: FeedSpec, device: str) -> RunningMoments | None:
    """Moments of every entry, or those of assets pooled where the network is not to tell assets apart."""
    if not settings.normalise_observation:
        return None
    if settings.network.images:
        raise ConfigError(
            f"agent.normalise_observation is for vectors, and network.kind '{settings.network.kind}' reads images, "
            "which come in one scale: set it to false"
        )
    groups = exchangeable_columns(spec) if settings.network.kind == "set" else None
    return RunningMoments(observation_size(spec), groups=groups, device=device)
