from typing import Any, ClassVar

import pytest
import torch
from gymnasium import spaces

from angle_domains import loops
from angle_domains.agents import ngu
from angle_domains.directed import ARM, BEHAVIOUR, NOVELTY
from angle_domains.errors import CheckpointError, ConfigError
from angle_domains.recurrent_values import MEMORY
from angle_domains.replay import ReplayBuffer, experienced_sequences
from angle_domains.types import Percept, Window
from feeds.base import FeedSpec
from tests.contracts import worlds
from tests.contracts.agent_contract import see
from tests.contracts.off_policy_contract import STREAMS, OffPolicyContract

SETTINGS: dict[str, Any] = {
    "network": {"hidden": (32,), "activation": "relu", "recurrent": 16},
    "head_hidden": (32,),
    "burn_in": 2,
    "trace": 6,
    "period": 4,
    "learning_rate": 3e-3,
    "adam_epsilon": 1e-6,
    "target_every": 20,
    "replay": {"capacity": 6_000, "warm_up": 200, "learn_every": 8, "batch": 16},
}


def ending(beta: torch.Tensor) -> Window:
    """All that could be mistaken for its neighbour differs from row to row; two policies act in the first stream."""
    no = torch.zeros(4, 2, dtype=torch.bool)
    first, last, discount = no.clone(), no.clone(), torch.ones(4, 2)
    last[2, 0], first[3, 0], discount[2, 0] = True, True, 0.0
    reward = torch.tensor([[9.0, 9.0], [1.0, 2.0], [3.0, -1.0], [7.0, 0.5]])
    action = torch.tensor([[1, 0], [0, 1], [1, 1]])
    percept = Percept(torch.zeros(4, 2, 1), torch.cat([action[:1], action]), reward, discount, first, last)
    most = len(beta) - 1
    extras = {
        NOVELTY: torch.tensor([[8.0, 8.0], [0.5, 1.0], [2.0, 3.0], [4.0, 5.0]]),
        ARM: torch.tensor([[0, most], [1, most - 1], [1, most], [most, 0]]),
        BEHAVIOUR: torch.tensor([[0.9, 0.1], [0.6, 0.8], [0.3, 0.5], [1.0, 0.7]]),
    }
    return Window(percept, action, extras, torch.tensor([1.0, 0.5]))


def by_hand(
    window: Window, held: list[float], beta: torch.Tensor, gamma: torch.Tensor, lambda_: float, *, weight: float
) -> torch.Tensor:
    """Plain Retrace, action by action, of the policy that takes the second action; `held` are rescaled values.

    Rewards are `weight` times those of the task, and beta times novelty.
    """
    plain = [stretched(value) for value in held]
    wanted = torch.zeros(window.action.shape)
    for b in range(window.action.shape[1]):
        for t in reversed(range(len(window.action))):
            arm = int(window.extras[ARM][t, b])
            earned = weight * float(window.percept.reward[t + 1, b])
            earned += float(beta[arm]) * float(window.extras[NOVELTY][t + 1, b])
            beyond = plain[1]
            if t + 1 < len(window.action) and not window.percept.last[t + 1, b]:
                chosen = int(window.action[t + 1, b])
                ratio = min(1.0, float(chosen == 1) / float(window.extras[BEHAVIOUR][t + 1, b]))
                beyond += lambda_ * ratio * (float(wanted[t + 1, b]) - plain[chosen])
            wanted[t, b] = earned + float(gamma[arm]) * float(window.percept.discount[t + 1, b]) * beyond
    return wanted


def squashed(x: torch.Tensor) -> torch.Tensor:
    return x.sign() * ((x.abs() + 1.0).sqrt() - 1.0) + 1e-3 * x


def stretched(value: float) -> float:
    """What is `value` once it is squashed, by bisection."""
    low, high = 0.0, 100.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if float(squashed(torch.tensor(middle))) < abs(value) else (low, middle)
    return low if value > 0 else -low


def answer(network: Any, numbers: list[float]) -> None:
    """Makes a network give these numbers for every row."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.advantage.layers[-1].bias.copy_(torch.tensor(numbers))
        network.value.layers[-1].bias.fill_(sum(numbers) / len(numbers))


class DirectedContract(OffPolicyContract):
    """What NGU and Agent57 share."""

    action_spaces = ((spaces.Discrete(3, start=-1), False),)

    def remember(self, agent: Any, streams: int, seed: int) -> ReplayBuffer:
        return experienced_sequences(agent, streams=streams, steps=10_000, stack=0, seed=seed, device="cpu")

    def value(self, agent: Any, obs: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return agent.worth(obs).max(-1).values

    def window(self, agent: Any, spec: FeedSpec, *, ended: bool = False) -> Window:
        plain, chance = super().window(agent, spec, ended=ended), torch.Generator().manual_seed(6)
        shape = plain.percept.first.shape
        extras = {
            NOVELTY: torch.rand(shape, generator=chance),
            ARM: torch.randint(agent.config.policies, shape, generator=chance),
            BEHAVIOUR: torch.rand(shape, generator=chance),
        }
        return Window(plain.percept, plain.action, extras, plain.weight)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("world", "observations", "values"),
        [(worlds.Told, [[-1.0], [1.0]], [-1.0, 1.0]), (worlds.Match, [[-1.0], [1.0]], [1.0, 1.0])],
    )
    def test_values_of_probe_worlds(self, world: Any, observations: list[list[float]], values: list[float]) -> None:
        """Where novelty counts nothing."""
        agent, _ = self.run(worlds.vector(world, 8), self.probe_steps, novelty_weight=0.0)
        found = self.value(agent, torch.tensor(observations))
        torch.testing.assert_close(found, torch.tensor(values), atol=0.15, rtol=0.0)

    def test_what_follows_the_end_of_a_task_changes_nothing(self) -> None:
        """Of the rows before it; here those beyond are all of resets, else the next episode would be learned from."""
        told = []
        for noise in (0.0, 5.0):
            agent = self.build(self.spec(), STREAMS, burn_in=0)
            window = self.window(agent, self.spec(), ended=True)
            window.percept.last[1:] = True
            window.percept.obs[1:] += noise
            window.percept.reward[2:] += noise
            window.extras[NOVELTY][2:] += noise
            window.weight.fill_(0.7)
            metrics = agent.learn(window).metrics
            told.append([float(value) for name, value in metrics.items() if name.startswith("loss/q")])
        assert told[0] == pytest.approx(told[1], rel=1e-4)

    def test_a_memory_is_refused(self) -> None:
        """Here it is the want of one."""
        with pytest.raises(ValueError, match=r"network.recurrent is 0"):
            self.build(self.spec(), STREAMS, network={"hidden": (16,)})

    def cores(self, agent: Any) -> list[Any]:
        """The networks, in the order in which their memories are kept."""
        raise NotImplementedError

    @pytest.mark.parametrize("burn_in", [0, 2])
    def test_values_of_a_stored_sequence_are_those_it_was_decided_by(self, burn_in: int) -> None:
        """Each network from its own half of the memory, under the policies that were followed and what was new."""
        envs = worlds.vector(worlds.Recall, STREAMS)
        agent = self.build(worlds.spec_of(envs), STREAMS, burn_in=burn_in)
        replay, state, decided = self.remember(agent, STREAMS, 0), loops.begin(envs, 0), []
        for _ in range(24):
            decision = agent.act(state.percept, state.memory, explore=True)
            told, memory = decision.extras, decision.extras[MEMORY]
            beside = agent.explorer.beside(told[NOVELTY], told[ARM])
            halves = zip(self.cores(agent), memory.split(2, 1), strict=True)
            decided.append([core.act(core.read(state.percept, *beside), half)[0] for core, half in halves])
            replay.insert(state.percept, decision)
            loops.advance(envs, state, decision.action, decision.memory)
        window = replay.get_batch(32, agent.length)
        place = torch.from_numpy(replay.sampler.inner._drawn)
        kept = agent.explorer.kept(window)
        for number, core in enumerate(self.cores(agent)):
            half = window.extras[MEMORY][0].split(2, 1)[number]
            found = core.unroll(core.read(window.percept, *agent.explorer.beside(*kept)), half, burn_in).online
            wanted = torch.stack([each[number] for each in decided])
            for column, (block, stream) in enumerate(zip(place // STREAMS, place % STREAMS, strict=True)):
                rows = slice(int(block) * agent.period, int(block) * agent.period + agent.length + 1)
                torch.testing.assert_close(found[:, column].detach(), wanted[rows, stream], atol=1e-5, rtol=0.0)

    def test_curiosity_of_another_shape_is_refused(self) -> None:
        state = self.build(self.spec(), STREAMS).state_dict()
        other = self.build(self.spec(), STREAMS, curiosity={"embedding": 5})
        with pytest.raises(CheckpointError, match="another network"):
            other.load_state_dict(state)

    def test_records_are_no_school(self) -> None:
        agent = self.build(self.spec(), STREAMS)
        told = self.window(agent, self.spec())
        with pytest.raises(ConfigError, match="learns from its own decisions alone"):
            agent.learn(Window(told.percept, told.action, {}, told.weight))

    def test_how_likely_a_decision_was_is_kept(self) -> None:
        """Epsilon is shared by the allowed actions, the best one has the rest."""
        agent = self.build(self.spec(), 3)
        agent.epsilons = torch.tensor([0.0, 0.5, 1.0])
        allowed = torch.tensor([[True, True], [True, True], [True, False]])
        best = agent.act(see([[0.3]] * 3), None, explore=True).action[0]
        for _ in range(20):
            decision = agent.act(see([[0.3]] * 3)._replace(mask=allowed), None, explore=True)
            likely = decision.extras[BEHAVIOUR]
            assert likely[0] == 1.0
            assert likely[2] == 1.0
            assert decision.action[2] == 0
            if decision.extras[ARM][0] == decision.extras[ARM][1]:
                assert likely[1] == (0.75 if decision.action[1] == best else 0.25)

    def test_what_is_new_is_told_by_the_episode(self) -> None:
        agent = self.build(self.spec(), 2)
        memory, seen = None, []
        for tick, place in enumerate((0.0, 0.7, 0.7, 0.7, -0.9)):
            percept = see([[place]] * 2)._replace(first=torch.tensor([tick == 0, tick in (0, 3)]))
            decision = agent.act(percept, memory, explore=True)
            memory = decision.memory
            seen.append(decision.extras[NOVELTY])
        novelty = torch.stack(seen)
        assert (novelty[0] == 0.0).all()
        assert novelty[1, 0] > 5.0 * novelty[2, 0]  # seen before
        assert novelty[3, 1] == 0.0  # another episode begins


class TestNGU(DirectedContract):
    def cores(self, agent: Any) -> list[Any]:
        return [agent.core]

    module, config = ngu, ngu.NGUConfig
    settings: ClassVar[dict[str, Any]] = {**SETTINGS, "policies": 3, "gamma": 0.5, "shortest_gamma": 0.4}

    def test_streams_take_turns_with_the_policies_and_the_first_acts_without_exploration(self) -> None:
        agent = self.build(self.spec(), 5)
        decision = agent.act(see([[0.0]] * 5), None, explore=True)
        assert decision.extras[ARM].tolist() == [0, 1, 2, 0, 1]
        ends = torch.tensor([True, False, True, False, False])
        decision = agent.act(see([[0.0]] * 5)._replace(last=ends), decision.memory, explore=True)
        assert decision.extras[ARM].tolist() == [0, 1, 2, 0, 1]  # the reset row is still the old episode's
        assert agent.act(see([[0.0]] * 5), decision.memory, explore=True).extras[ARM].tolist() == [1, 1, 0, 0, 1]
        assert agent.act(see([[0.0]] * 2), None, explore=False).memory["arm"].tolist() == [0, 0]
        assert agent.explorer.family.beta[0] == 0.0
        assert agent.explorer.family.gamma.tolist() == pytest.approx([0.5, 1 - (0.5 * 0.6) ** 0.5, 0.4])

    def test_loss_by_hand(self) -> None:
        """Four rows of two streams: in one the task ends at the second action, in the other nothing ends."""
        agent = self.build(self.spec(), 2, policies=3, novelty_weight=0.5, burn_in=0, trace=3, period=3, lambda_=0.9)
        answer(agent.core.online, [1.0, 2.0])  # the second action is the better
        answer(agent.core.target, [0.5, -0.25])
        beta, gamma = agent.explorer.family
        window = ending(beta)
        wanted = squashed(by_hand(window, [0.5, -0.25], beta, gamma, 0.9, weight=1.0))
        counts = torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
        error = (wanted - torch.tensor([1.0, 2.0])[window.action]) * counts
        loss, _, priority = agent.loss(window)
        torch.testing.assert_close(loss.detach(), ((0.5 * error.square()).sum(0) * window.weight).mean())
        size = error.abs()
        torch.testing.assert_close(priority, 0.9 * size.amax(0) + 0.1 * size.sum(0) / counts.sum(0))
