import copy
import sys
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from angle_domains.agents import nec
from angle_domains.errors import CheckpointError, ConfigError
from angle_domains.loops import LoopState, begin, off_policy
from angle_domains.types import Window
from feeds.base import FeedSpec
from tests.contracts import worlds
from tests.contracts.agent_contract import see
from tests.contracts.off_policy_contract import STREAMS
from tests.contracts.trees import assert_same
from tests.contracts.value_contract import IMAGES, ValueContract, drawn


def written(agent: Any, entries: int = 40) -> Any:
    """The agent with random entries in every dictionary."""
    chance = torch.Generator().manual_seed(8)
    key = torch.randn(entries, agent.config.embedding, generator=chance)
    action = torch.arange(entries) % agent.actions
    serial = -1 - torch.arange(entries)  # of no decision that is drawn
    agent.dictionaries.write(key, action, torch.randn(entries, generator=chance), serial)
    return agent


def valued(window: Window) -> Window:
    """The window with what the agent thought its rows were worth."""
    chance, shape = torch.Generator().manual_seed(9), window.percept.reward.shape
    return Window(
        window.percept,
        window.action,
        {"value": torch.randn(shape, generator=chance), "serial": torch.arange(shape.numel()).reshape(shape)},
        window.weight,
    )


class NECContract(ValueContract):
    """Of windows that hold what the agent thought, and dictionaries that hold something."""

    module, config = nec, nec.NECConfig
    settings: ClassVar[dict[str, Any]] = {
        "network": {"hidden": (32, 32), "activation": "relu"},
        "embedding": 8,
        "dictionary": {"capacity": 2_000, "neighbours": 5, "key_rate": 1e-3, "value_rate": 1e-3},
        "n_step": 3,
        "learning_rate": 1e-3,
        "epsilon_steps": 500,
        "replay": {"capacity": 5_000, "warm_up": 200, "learn_every": 2, "batch": 32},
    }

    def value(self, agent: Any, obs: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return agent.worth(obs).max(-1).values

    def window(self, agent: Any, spec: FeedSpec, *, ended: bool = False) -> Window:
        written(agent)
        return valued(super().window(agent, spec, ended=ended))

    def check_portrayed_values(self, agent: Any, values: dict[str, torch.Tensor]) -> None:
        assert values["value/q"].shape == (agent.replay.batch, 2)
        with torch.no_grad():
            q = agent.dictionaries.values(agent.network(agent.learned))
        torch.testing.assert_close(values, {"value/q": q})

    def test_weights_of_zero_teach_nothing(self) -> None:
        """Importance weights scale the loss: the gradient's norm falls with them, and no entry moves."""
        agent = self.build(self.spec(), STREAMS)
        window, norms, values = self.window(agent, self.spec()), [], []
        for weight in (1.0, 0.5, 0.0):
            twin = copy.deepcopy(agent)
            weighted = Window(window.percept, window.action, window.extras, torch.full((STREAMS,), weight))
            norms.append(float(twin.learn(weighted).metrics["optimiser/gradient_norm"]))
            values.append(twin.dictionaries.each[0].entries.value)
        assert norms[1] == pytest.approx(norms[0] / 2, rel=1e-4)
        assert norms[2] == 0.0
        before = agent.dictionaries.each[0].entries.value
        assert [torch.equal(before, value) for value in values] == [False, False, True]

    def test_images_reach_the_network_as_bytes(self) -> None:
        agent = self.build(IMAGES, STREAMS, network={"kind": "minatar", "hidden": (8,)})
        window = valued(drawn(agent))
        agent.learn(window)
        assert torch.equal(agent.learned, window.obs[0])
        assert agent.learned.dtype == torch.uint8
        blank = self.blank(STREAMS)._replace(obs=window.obs[0])
        assert agent.act(blank, None, explore=False).action.shape == (STREAMS,)

    def test_the_learning_rate_falls_to_nothing(self) -> None:
        given = {"network": {"kind": "minatar", "hidden": (8,)}, "learning_rate": 0.1, "replay": {"learn_every": 2.0}}
        agent, steady = (self.build(IMAGES, STREAMS, **given, **more) for more in ({"anneal_steps": 8}, {}))
        rates = []
        for _ in range(6):
            agent.learn(valued(drawn(agent)))
            steady.learn(valued(drawn(steady)))
            rates.append(agent.optimizer.param_groups[0]["lr"])
        assert rates == pytest.approx([0.1, 0.075, 0.05, 0.025, 0.0, 0.0])
        assert steady.optimizer.param_groups[0]["lr"] == 0.1

    def test_bounded_entries_are_scaled_and_others_are_left_alone(self) -> None:
        low, high = np.array([-1.2, -np.inf, 0.0], np.float32), np.array([0.6, np.inf, 4.0], np.float32)
        spec = FeedSpec("bounds", spaces.Box(low, high, dtype=np.float32), spaces.Discrete(2))
        agent = self.build(spec, 1, scale_observation=True)
        seen = agent.see(torch.tensor([[0.6, 7.0, 1.0], [-0.3, -7.0, 2.0]]))
        torch.testing.assert_close(seen, torch.tensor([[1.0, 7.0, -0.5], [0.0, -7.0, 0.0]]))


class TestNEC(NECContract):
    def test_epsilon_is_held_while_the_replay_warms_up_and_then_falls(self) -> None:
        agent = self.build(self.spec(), 4, epsilon_end=0.2, epsilon_steps=100)
        seen, memory = [], None
        for _ in range(100):
            seen.append(agent.epsilon)
            memory = agent.act(self.blank(4), memory, explore=True).memory
        assert seen[:51] == [1.0] * 51  # 200 rows
        assert seen[51] == pytest.approx(1.0 - 0.8 * 4 / 100)
        assert seen[75:] == pytest.approx([0.2] * 25)

    def test_the_target_by_hand(self) -> None:
        """Two rewards and a value; up to a truncation, and the value there; up to the end of the task."""
        agent = self.build(self.spec(), 3, n_step=2, gamma=0.5)
        rows = torch.zeros(3, 3)
        percept = see([[0.0]] * 3)._replace(obs=torch.zeros(1, 3, 1))
        percept = percept._replace(
            action=rows.long(),
            reward=torch.tensor([[99.0] * 3, [1.0] * 3, [2.0] * 3]),
            discount=torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]),
            first=rows.bool(),
            last=torch.tensor([[False] * 3, [False, True, True], [False] * 3]),
        )
        value = torch.tensor([[7.0] * 3, [10.0] * 3, [20.0] * 3])
        window = Window(percept, rows[1:].long(), {"value": value}, torch.ones(3))
        assert agent.target(window).tolist() == [1.0 + 0.5 * 2.0 + 0.25 * 20.0, 1.0 + 0.5 * 10.0, 1.0]

    def test_the_target_of_a_row_is_what_its_episode_wrote(self) -> None:
        """One by the replay's window, the other by the episode's rows; nothing is learned meanwhile."""
        envs = worlds.vector(worlds.TwoSteps, 1)
        settings = {"network": {"hidden": (8,), "activation": "relu"}, "replay": {"warm_up": 5_000}}
        agent = self.build(worlds.spec_of(envs), 1, **settings, n_step=2, gamma=0.5)
        replay = self.remember(agent, 1, 0)
        list(off_policy(agent, envs, replay, begin(envs, 0), steps=30))
        window = replay.get_batch(200, 2, looks=1)
        assert window.obs.shape == (1, 200, 1)
        for obs, worth in ((0.0, 0.5), (1.0, 1.0)):
            told = agent.target(window)[window.obs[0, :, 0] == obs]
            assert told.tolist() == [worth] * len(told)
            torch.testing.assert_close(agent.worth(torch.tensor([[obs]])).max(), torch.tensor(worth), atol=1e-2, rtol=0)

    @pytest.mark.parametrize("streams", [1, 4])
    def test_what_a_drawn_decision_wrote_is_left_out_of_its_estimate(self, streams: int) -> None:
        """Also when network and keys have moved since, and whatever the number of streams it was decided among."""
        agent, _, replay = self.half_way(streams)
        window = replay.get_batch(200, agent.length, looks=1)
        action, serial = window.action[0], window.extras["serial"][0]
        recalled = agent.dictionaries.recall(agent.network(agent.see(window.obs[0])), action, serial)
        kept = 0
        for each in range(200):
            entries = agent.dictionaries.each[int(action[each])].entries
            used = recalled.row[each][recalled.counted[each]]
            assert serial[each] not in entries.serial[used]
            kept += int(serial[each] in entries.serial[: entries.size])
        assert kept > 100

    def test_two_continuations_of_one_state_leave_each_other_alone(self) -> None:
        agent, state, _ = self.half_way(2)
        saved = state.state_dict()
        before, last = copy.deepcopy(saved["memory"]), state.percept._replace(obs=state.percept.obs + 1.0)
        one, two = LoopState.from_state_dict(saved), LoopState.from_state_dict(saved)
        twin = copy.deepcopy(agent)
        agent.act(last, one.memory, explore=True)
        assert_same(two.memory, before)
        assert_same(saved["memory"], before)
        twin.act(state.percept, two.memory, explore=True)
        assert_same(saved["memory"], before)

    def half_way(self, streams: int) -> tuple[Any, Any, Any]:
        """An agent that has learned on CartPole for a while, its loop's state and its replay."""
        envs = worlds.vector(lambda: gym.make("CartPole-v1"), streams)
        agent = self.build(worlds.spec_of(envs), streams)
        replay, state = self.remember(agent, streams, 0), begin(envs, 0)
        list(off_policy(agent, envs, replay, state, steps=400))
        assert agent.updates > 50
        return agent, state, replay

    def test_only_whole_episodes_are_written_and_only_while_exploring(self) -> None:
        envs = worlds.vector(worlds.Endless, 2)  # episodes of five actions
        agent = self.build(worlds.spec_of(envs), 2)
        list(off_policy(agent, envs, self.remember(agent, 2, 0), begin(envs, 0), steps=10))
        assert sum(map(len, agent.dictionaries.each)) == 0
        before = copy.deepcopy(agent.state_dict())
        last = self.blank(2)._replace(first=torch.zeros(2).bool(), last=torch.ones(2).bool())
        agent.act(last, None, explore=False)
        assert_same(before, agent.state_dict())
        list(off_policy(agent, envs, self.remember(agent, 2, 0), begin(envs, 0), steps=12))
        assert sum(map(len, agent.dictionaries.each)) > 0

    def test_entries_go_the_way_of_their_gradients(self) -> None:
        """A small step of keys and values lowers the loss by what finite differences foretell."""
        agent = self.build(self.spec(), STREAMS, dictionary={"neighbours": 3, "delta": 0.1})
        written(agent)
        query, action = torch.randn(4, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 1, 0])

        def value() -> torch.Tensor:
            return agent.dictionaries.recall(query, action, torch.arange(4))

        recalled = value()
        recalled.value.sum().backward()
        entries, small = agent.dictionaries.each[0].entries, 1e-2
        row, base = int(recalled.row[0, 0]), recalled.value[0].item()
        for column, place, slope in (
            (entries.value, (row,), recalled.values.grad[0, 0].item()),
            (entries.key, (row, 2), recalled.keys.grad[0, 0, 2].item()),
        ):
            column[place] += small
            assert (value().value[0].item() - base) / small == pytest.approx(slope, rel=0.05, abs=1e-3)
            column[place] -= small

    def test_entries_learn_though_the_network_does_not(self) -> None:
        """One update whose network hardly moves lowers the loss of its own batch, by keys alone and by values alone."""
        for rates in ({"key_rate": 1e-3, "value_rate": 0.0}, {"key_rate": 0.0, "value_rate": 1e-2}):
            dictionary = self.settings["dictionary"] | {"delta": 0.1} | rates
            agent = self.build(self.spec(), STREAMS, learning_rate=1e-12, dictionary=dictionary)
            window = self.window(agent, self.spec())
            losses = [float(agent.learn(window).metrics["loss/q"]) for _ in range(3)]
            assert losses[2] < losses[1] < losses[0]

    def test_a_batch_of_which_nothing_is_known_changes_nothing(self) -> None:
        agent = self.build(self.spec(), STREAMS)
        window = valued(ValueContract.window(self, agent, self.spec()))
        before = copy.deepcopy(dict(agent.network.state_dict()))
        assert float(agent.learn(window).metrics["loss/q"]) == 0.0
        assert_same(before, dict(agent.network.state_dict()))

    def test_records_of_others_are_refused(self) -> None:
        agent = self.build(self.spec(), STREAMS)
        with pytest.raises(ConfigError, match=r"leave training.source=records out"):
            agent.learn(ValueContract.window(self, agent, self.spec()))

    def test_a_checkpoint_of_other_actions_is_refused(self) -> None:
        state = self.build(self.spec(), STREAMS).state_dict()
        state["dictionaries"]["each"].pop()
        with pytest.raises(CheckpointError, match="dictionaries of 1 actions, this one of 2"):
            self.build(self.spec(), STREAMS).load_state_dict(state)


class TestNECWithAnIndex(NECContract):
    """It goes on to the bit with an index in the checkpoint, too."""

    settings: ClassVar[dict[str, Any]] = NECContract.settings | {
        "dictionary": NECContract.settings["dictionary"] | {"index": "faiss"},
        "replay": NECContract.settings["replay"] | {"prioritised": True},
    }
    test_values_of_probe_worlds: ClassVar[None] = None  # it learns as its sister class does
    test_forbidden_actions_are_never_chosen: ClassVar[None] = None
    test_the_learning_rate_falls_to_nothing: ClassVar[None] = None
    test_images_reach_the_network_as_bytes: ClassVar[None] = None

    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("faiss")
        monkeypatch.setattr("angle_domains.memory.index._LEAST", 100)

    def test_without_faiss_it_plays_but_does_not_train(self, monkeypatch: pytest.MonkeyPatch) -> None:
        agent = written(self.build(self.spec(), STREAMS), entries=300)
        assert agent.dictionaries.each[0].index.built is not None
        state = copy.deepcopy(agent.state_dict())
        monkeypatch.setitem(sys.modules, "faiss", None)
        blank, again = self.blank(STREAMS), self.build(self.spec(), STREAMS)
        again.load_state_dict(state)
        assert again.act(blank, None, explore=False).extras["q"].abs().min() > 0.0
        with pytest.raises(ConfigError, match=r"angle-domains\[index\]"):
            again.act(blank, None, explore=True)
