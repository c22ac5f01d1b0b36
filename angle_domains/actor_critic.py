"""What on-policy actor-critics share: acting with a PolicyModel, and turning a window into samples to learn from."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Shaped
from torch import Generator, Tensor

from angle_domains.errors import CheckpointError, ConfigError, TrainingError
from angle_domains.losses.returns import gae
from angle_domains.networks import HeadKind, NetworkConfig, PolicyModel, exchangeable_columns, observation_size
from angle_domains.normalise import ReturnScaler, RunningMoments
from angle_domains.types import Decision, Percept, Window
from feeds.base import FeedSpec


@runtime_checkable
class Settings(Protocol):
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

    obs: Shaped[Tensor, "n *obs"]  # images as they are, all else flat
    raw: Tensor  # [n, ...] actions as the distribution sampled them
    numbers: Float[Tensor, "n 4"]  # in one tensor, so that a minibatch is gathered by few calls
    mask: Tensor | None

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

    def take(self, index: Tensor) -> "Samples":
        """The samples at `index`, each tensor contiguous."""
        return Samples(
            self.obs.index_select(0, index),
            self.raw.index_select(0, index),
            self.numbers.index_select(0, index),
            None if self.mask is None else self.mask.index_select(0, index),
        )


class ActorCritic:
    """A PolicyModel with its normalisers and its generator. In a row it stores `raw`, `log_prob`, of images `value`."""

    def __init__(self, settings: Settings, spec: FeedSpec, *, streams: int, seed: int, device: str) -> None:
        self.settings, self.device = settings, torch.device(device)
        self.model = PolicyModel(
            spec,
            settings.network,
            settings.head,
            log_std=settings.log_std,
            generator=Generator().manual_seed(seed),
        ).to(self.device)
        self.parameters = list(self.model.parameters())
        self.generator = Generator(device=self.device).manual_seed(seed)
        self.moments = _moments(settings, spec, device)
        self.scaler = ReturnScaler(streams, gamma=settings.gamma, device=device) if settings.normalise_reward else None

    @torch.no_grad()
    def act(self, percept: Percept, *, explore: bool) -> Decision:
        """A sampled decision with its log-probability, or without `explore` the distribution's mode."""
        mask = None if percept.mask is None else percept.mask.to(self.device)
        obs, keep = self.see(percept.obs), explore and self.settings.network.images
        distribution, value = self.model.evaluate(obs, mask) if keep else (self.model(obs, mask), None)
        if not explore:
            return Decision(self.model.head.action(distribution.mode()))
        raw = distribution.sample(self.generator)
        extras = {"raw": raw, "log_prob": distribution.log_prob(raw)}
        return Decision(self.model.head.action(raw), None, extras if value is None else extras | {"value": value})

    def see(self, obs: Tensor, axes: int = 1) -> Tensor:
        """Observations as the model reads them: images as they are, all else flat beyond the first axes, and float."""
        if self.settings.network.images:
            return obs.to(self.device)
        flat = obs.flatten(axes).to(self.device, torch.float32)
        return flat if self.moments is None else self.moments.normalise(flat)

    @torch.no_grad()
    def samples(self, window: Window) -> tuple[Samples, Tensor]:
        """All rows of a window as samples, and the index of those whose action was taken. No side effect.

        Raises TrainingError where a value, an advantage or a log-probability is not finite.
        """
        obs = self.see(window.obs, axes=2)
        steps, real = len(window.action), window.real
        value = self._values(window, obs)
        reward = window.reward if self.scaler is None else self.scaler.scale(window.reward)
        advantage = gae(reward, self.settings.gamma * window.discount, real, value, self.settings.lambda_)
        log_prob = window.extras["log_prob"][:steps]
        numbers = torch.stack([log_prob, advantage, advantage + value[:-1], value[:-1]], -1)
        taken = real.flatten().nonzero().squeeze(-1)
        if not torch.isfinite(numbers.flatten(0, 1)[taken]).all():
            raise TrainingError("an advantage, a value or a log-probability is not finite")
        mask = window.percept.mask
        rows = Samples(
            obs[:-1].flatten(0, 1),
            window.extras["raw"][:steps].flatten(0, 1),
            numbers.flatten(0, 1),
            None if mask is None else mask[:-1].flatten(0, 1),
        )
        return rows, taken

    def _values(self, window: Window, obs: Tensor) -> Float[Tensor, "t b"]:
        """Of all observations: read anew, or where that is dear as they were when the agent acted, but for the last."""
        if "value" not in window.extras:
            return self.model.value(obs)
        return torch.cat([window.extras["value"][:-1], self.model.value(obs[-1:])])

    def weigh_rewards(self, window: Window) -> None:
        """Takes the rewards of a window into their scale, before it is learned."""
        if self.scaler is not None:
            self.scaler.update(window.reward, window.percept.last[1:], window.real)

    def weigh_observations(self, window: Window) -> None:
        """Takes the observations of a window into their moments, after it was learned."""
        if self.moments is not None:
            self.moments.update(window.obs[:-1].flatten(2).to(torch.float32))

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
            raise CheckpointError(f"the checkpoint belongs to another network: {error}") from error
        for part, name in ((self.moments, "moments"), (self.scaler, "scaler")):
            if (part is None) != (state[name] is None):
                raise CheckpointError(f"the checkpoint and the settings disagree on whether there is a '{name}'")
            if part is not None:
                part.load_state_dict(state[name])
        self.generator.set_state(state["generator"].cpu())


def _moments(settings: Settings, spec: FeedSpec, device: str) -> RunningMoments | None:
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
