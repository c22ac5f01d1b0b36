"""What the agents that learn off policy share beyond the contract of all agents."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from gymnasium.vector import SyncVectorEnv
from pydantic import BaseModel

from angle_domains import loops
from angle_domains.errors import CheckpointError, ConfigError, TrainingError
from angle_domains.replay import ReplayBuffer, experience
from angle_domains.types import Percept, Report, Window
from feeds.base import FeedSpec
from tests.contracts import worlds
from tests.contracts.agent_contract import AgentContract

STREAMS = 4


class OffPolicyContract(AgentContract):
    """A subclass gives `settings`, `config`, `module` and `value`, and the action space that `window` draws from.

    `settings["replay"]` should warm up within some hundred steps and learn often: the worlds are tiny. What
    `build(**changes)` gives for the key `replay` is laid over it.
    """

    settings: ClassVar[dict[str, Any]]
    config: type[BaseModel]
    module: Any

    def build(self, spec: FeedSpec, streams: int, seed: int = 0, **changes: Any) -> Any:
        replay = {**self.settings["replay"], **changes.pop("replay", {})}
        config = self.config(**{**self.settings, **changes, "replay": replay})
        return self.module.build(config, spec, streams=streams, seed=seed, device="cpu")

    def loop(
        self, agent: Any, envs: SyncVectorEnv, replay: ReplayBuffer, state: loops.LoopState, steps: int
    ) -> Iterator[Report]:
        return loops.off_policy(agent, envs, replay, state, steps=steps)

    def remember(self, agent: Any, streams: int, seed: int) -> ReplayBuffer:
        return experience(agent, streams=streams, steps=10_000, stack=0, seed=seed, device="cpu")

    def known(self, changes: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in changes.items() if name in self.config.model_fields}

    def spec(self) -> FeedSpec:
        """Of a world whose observations have one number."""
        return worlds.spec_of(worlds.vector(worlds.Match, 1))

    def window(self, agent: Any, spec: FeedSpec, *, ended: bool = False) -> Window:
        """A window of random rows; with `ended` the first action ends the task and what follows is another's."""
        chance, length = torch.Generator().manual_seed(5), agent.length
        shape = (length + 1, STREAMS)
        first, last = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
        discount = torch.ones(shape)
        if ended:
            last[1], discount[1] = True, 0.0
        spec.action_space.seed(3)
        flat = [torch.as_tensor(spec.action_space.sample()) for _ in range(length * STREAMS)]
        action = torch.stack(flat).unflatten(0, (length, STREAMS))
        percept = Percept(
            obs=torch.randn(*shape, *(spec.observation_space.shape or ()), generator=chance),
            action=torch.cat([action[:1], action]),
            reward=torch.randn(shape, generator=chance),
            discount=discount,
            first=first,
            last=last,
        )
        return Window(percept, action, {}, torch.ones(STREAMS))

    def test_the_rows_it_learned_from_are_those_of_its_settings(self) -> None:
        envs = worlds.vector(worlds.Match, STREAMS)
        agent = self.build(worlds.spec_of(envs), STREAMS, replay={"warm_up": 100, "learn_every": 8})
        state = loops.begin(envs, 0)
        list(self.loop(agent, envs, self.remember(agent, STREAMS, 0), state, 300))
        assert state.updates == (300 - 100) // 8 + 1

    def test_a_memory_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"agent.network.recurrent is 16"):
            self.build(self.spec(), STREAMS, network={"hidden": (16,), "recurrent": 16})

    def test_what_follows_the_end_of_a_task_changes_nothing(self) -> None:
        """Neither the final observation is bootstrapped from nor the next episode's rewards are summed."""
        told = []
        for noise in (0.0, 5.0):
            agent = self.build(self.spec(), STREAMS)
            window = self.window(agent, self.spec(), ended=True)
            window.percept.obs[1:] += noise
            window.percept.reward[2:] += noise
            told.append([float(value) for value in agent.learn(window).metrics.values()])
        assert told[0] == pytest.approx(told[1], rel=1e-4)

    def test_weights_of_zero_teach_nothing(self) -> None:
        """Importance weights scale the loss: the gradient's norm falls with them."""
        agent = self.build(self.spec(), STREAMS)
        window = self.window(agent, self.spec())
        norms = []
        for weight in (1.0, 0.5, 0.0):
            twin = copy.deepcopy(agent)
            weighted = replace(window, weight=torch.full((STREAMS,), weight))
            metrics = twin.learn(weighted).metrics
            norms.append(float(next(value for name, value in metrics.items() if "gradient_norm" in name)))
        assert norms[1] == pytest.approx(norms[0] / 2, rel=1e-4)
        assert norms[2] == 0.0

    def test_a_number_that_is_not_finite_stops_training(self) -> None:
        agent = self.build(self.spec(), STREAMS)
        window = self.window(agent, self.spec())
        window.percept.reward[1, 0] = float("nan")
        with pytest.raises(TrainingError, match="not finite"):
            agent.learn(window)

    def test_a_checkpoint_of_another_network_is_refused(self) -> None:
        wide = worlds.spec_of(worlds.vector(worlds.Masked, 1))
        state = self.build(self.spec(), STREAMS).state_dict()
        with pytest.raises(CheckpointError, match="another network"):
            self.build(wide, STREAMS).load_state_dict(state)
