"""Batch-constrained Q-learning of choices: the best of the actions that a log supports.

Fujimoto, Conti, Ghavamzadeh and Pineau (2019), "Benchmarking Batch Deep Reinforcement Learning Algorithms",
arXiv:1910.01708. An action is supported where it is at least `threshold` times as likely as the likeliest. With
`support: counted` it must have been taken at least `least` times at the very same observation: where states are few
and come back, that is value iteration over what was seen (compare Laroche, Trichelair and Tachet des Combes 2019,
"Safe Policy Improvement with Baseline Bootstrapping", arXiv:1712.06924).

Differs from the paper:
- Values and likelihoods stand on one torso, two numbers for each action.
- Where no allowed action is supported the likeliest is chosen, by counts first.
"""

from typing import Annotated, Any, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from angle_domains.losses.offline import with_taken
from angle_domains.losses.value import greedy, huber, of_action
from angle_domains.networks import NetworkConfig
from angle_domains.networks.q import QHead
from angle_domains.optim import descend
from angle_domains.replay import RecordedConfig, beside
from angle_domains.support import Support, or_best
from angle_domains.transitions import Transitions
from angle_domains.types import Decision, LearnResult, Percept, Window
from angle_domains.value_based import Exploration, ValueBased
from feeds.base import FeedSpec

_NETWORK = NetworkConfig(hidden=(256, 256), activation="relu")
_REPLAY = RecordedConfig(batch=256)


class BCQConfig(BaseModel):
    """Defaults are those of the authors' code, but for the network and the copies, which are for vectors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkConfig = _NETWORK
    scale_observation: bool = False  # entries that have bounds to the range from -1 to 1; images have their own scale
    n_step: PositiveInt = 1
    gamma: float = Field(default=0.99, ge=0, le=1)
    support: Literal["estimated", "counted"] = "estimated"
    threshold: float = Field(default=0.3, ge=0, le=1)  # share of the greatest likelihood; 0: all, 1: behaviour cloning
    least: PositiveInt = 20  # times that an action was taken, where support is counted
    imitation_decay: NonNegativeFloat = 0.01  # weight of the squares of the logits
    learning_rate: PositiveFloat = 3e-4
    adam_epsilon: PositiveFloat = 1e-8
    max_grad_norm: PositiveFloat = 10.0
    tau: float | None = Field(default=0.005, gt=0, le=1)  # way that the target network goes at a time; None: it copies
    target_every: PositiveInt = 8_000  # updates between copies, where there is no tau
    replay: Annotated[RecordedConfig, beside(_REPLAY)] = _REPLAY


class BCQ:
    """Learns what actions are worth, bootstrapped from supported ones alone, and how likely the log makes each."""

    def __init__(self, config: BCQConfig, spec: FeedSpec, *, seed: int, device: str) -> None:
        self.config, self.replay, self.length = config, config.replay, config.n_step
        self.core = ValueBased(
            config,
            spec,
            QHead(outputs=2),
            exploration=Exploration(),
            expectation=lambda output: output[..., 0],
            seed=seed,
            device=device,
        )
        self.support = Support(self.core.actions, device)
        self.optimizer = torch.optim.Adam(
            self.core.parameters, lr=config.learning_rate, eps=config.adam_epsilon, fused=True
        )

    def study(self, window: Window) -> None:
        """Counts which actions a log holds where."""
        if self.config.support == "counted":
            taken = window.real[:, 0] > 0
            obs = self.core.see(window.obs[:-1, 0][taken])
            self.support.count(obs, window.action[:, 0][taken].to(obs.device) - self.core.first)

    @torch.no_grad()
    def act(self, percept: Percept, memory: Any = None, *, explore: bool) -> Decision:
        """The best supported action, with or without `explore`."""
        obs = self.core.see(percept.obs)
        mask = None if percept.mask is None else percept.mask.to(obs.device)
        q = self.supported(self.core.online(obs), obs, mask)
        return Decision(self.core.first + greedy(q, mask), None, {} if explore else {"q": q})

    def supported(
        self, output: Float[Tensor, "b n 2"], obs: Tensor, mask: Bool[Tensor, "b n"] | None
    ) -> Float[Tensor, "b n"]:
        """Values; of actions without support numbers below all of them, the likelier the higher."""
        q, logits = output.unbind(-1)
        held = logits if mask is None else logits.masked_fill(~mask, -torch.inf)
        likely = held.softmax(-1)
        if self.config.support == "counted":
            counts = self.support(obs)
            score = counts + likely if mask is None else (counts + likely) * mask
            inside = or_best(counts >= self.config.least, score)
        else:
            inside, score = likely >= self.config.threshold * likely.amax(-1, keepdim=True), likely
        return torch.where(inside, q, below(q, score))

    def loss(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """The loss of a batch, what is logged of it, and the priority of each sample. No side effect."""
        q, logits = self.core.online(batch.obs).unbind(-1)
        value, target = of_action(q, batch.action), self.target(batch)
        mask = with_taken(batch.mask, batch.action)
        held = logits if mask is None else logits.masked_fill(~mask, -torch.inf)
        surprise = -of_action(held.log_softmax(-1), batch.action)
        error = huber(value, target)
        each = error + surprise + self.config.imitation_decay * logits.square().mean(-1)
        logged = {
            "loss/q": error.detach().mean(),
            "loss/imitation": surprise.detach().mean(),
            "value/mean": value.detach().mean(),
        }
        return (batch.weight * each).mean(), logged, (target - value.detach()).abs()

    @torch.no_grad()
    def target(self, batch: Transitions) -> Tensor:
        """`[B]`: the n-step return, bootstrapped from the target network's value of the best supported action."""
        judged = self.supported(self.core.online(batch.next_obs), batch.next_obs, batch.next_mask)
        q = self.core.target(batch.next_obs)[..., 0]
        return torch.addcmul(batch.reward, batch.discount, of_action(q, greedy(judged, batch.next_mask)))

    def learn(self, window: Window) -> LearnResult:
        """One step of the optimiser; TrainingError where loss or gradient are not finite."""
        batch = self.core.transitions(window)
        loss, logged, priority = self.loss(batch)
        norm = descend(loss, self.optimizer, self.core.parameters, self.config.max_grad_norm)
        self.core.count_update(batch, self.config.tau)
        metrics = logged | {"optimiser/gradient_norm": norm}
        return LearnResult(metrics, priority if self.replay.prioritised else None)

    def worth(self, obs: Tensor) -> Tensor:
        return self.core.worth(obs)

    def portrait(self) -> dict[str, Tensor]:
        return self.core.portrait()

    def state_dict(self) -> dict[str, Any]:
        return {
            "core": self.core.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "support": self.support.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts a state back; CheckpointError where it belongs to another network."""
        self.core.load_state_dict(state["core"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.support.load_state_dict(state["support"])


def below(q: Float[Tensor, "b n"], score: Float[Tensor, "b n"]) -> Float[Tensor, "b n"]:
    """Numbers below all values of their row, in the order of the scores, which are not negative.

    They lie as far below as the values reach: a constant far away would round small differences of scores off.
    """
    reach = q.abs().amax(-1, keepdim=True).clamp(min=1.0)
    return q.amin(-1, keepdim=True) - reach * (2.0 - score / (1.0 + score.amax(-1, keepdim=True)))


def build(config: BCQConfig, spec: FeedSpec, *, streams: int, seed: int, device: str) -> BCQ:
    """A BCQ for the observations and actions of a feed; ConfigError where network or actions do not fit them."""
    return BCQ(config, spec, seed=seed, device=device)
