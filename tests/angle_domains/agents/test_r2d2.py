import copy
from typing import Any, ClassVar

import pytest
import torch
from gymnasium import spaces

from angle_domains import loops
from angle_domains.agents import r2d2
from angle_domains.losses.rescale import rescale
from angle_domains.recurrent_values import MEMORY, epsilons, trained
from angle_domains.replay import ReplayBuffer, experienced_sequences
from angle_domains.types import Decision, Percept, Window
from tests.contracts import worlds
from tests.contracts.agent_contract import see
from tests.contracts.off_policy_contract import STREAMS, OffPolicyContract
from tests.contracts.trees import assert_same


class TestR2D2(OffPolicyContract):
    module, config = r2d2, r2d2.R2D2Config
    action_spaces = ((spaces.Discrete(3, start=-1), False),)
    settings: ClassVar[dict[str, Any]] = {
        "network": {"hidden": (32,), "activation": "relu", "recurrent": 16},
        "head_hidden": (32,),
        "burn_in": 2,
        "trace": 6,
        "period": 4,
        "n_step": 2,
        "learning_rate": 3e-3,
        "adam_epsilon": 1e-6,
        "target_every": 20,
        "replay": {"capacity": 6_000, "warm_up": 200, "learn_every": 8, "batch": 16},
    }

    def remember(self, agent: Any, streams: int, seed: int) -> ReplayBuffer:
        return experienced_sequences(agent, streams=streams, steps=10_000, stack=0, seed=seed, device="cpu")

    def value(self, agent: Any, obs: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return agent.worth(obs).max(-1).values

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("world", "observations", "values"),
        [
            (worlds.Told, [[-1.0], [1.0]], [-1.0, 1.0]),
            (worlds.TwoSteps, [[0.0]], [0.5]),  # no episode begins with the other observation
            (worlds.Endless, [[0.0]], [2.0]),
            (worlds.Match, [[-1.0], [1.0]], [1.0, 1.0]),
        ],
    )
    def test_values_of_probe_worlds(self, world: Any, observations: list[list[float]], values: list[float]) -> None:
        agent, _ = self.run(worlds.vector(world, 8), self.probe_steps, gamma=0.5)
        found = self.value(agent, torch.tensor(observations))
        torch.testing.assert_close(found, torch.tensor(values), atol=0.1, rtol=0.0)

    def test_a_memory_is_refused(self) -> None:
        """Here it is the want of one."""
        with pytest.raises(ValueError, match=r"network.recurrent is 0"):
            self.build(self.spec(), STREAMS, network={"hidden": (16,)})

    def test_rows_that_no_sequence_would_learn_from_are_a_mistake_of_the_user(self) -> None:
        with pytest.raises(ValueError, match="some rows would never be learned"):
            self.build(self.spec(), STREAMS, period=7)

    def test_what_follows_the_end_of_a_task_changes_nothing(self) -> None:
        """Of what the rows before it are to be worth; the next episode is learned from, too."""
        told = []
        for noise in (0.0, 5.0):
            agent = self.build(self.spec(), STREAMS, burn_in=0)
            window = self.window(agent, self.spec(), ended=True)
            window.percept.first[2] = True
            window.percept.obs[1:] += noise
            window.percept.reward[2:] += noise
            values = agent.core.unroll(agent.core.read(window.percept), agent.core.blank(STREAMS), 0)
            told.append([row[0].detach() for row in agent.targets(window, values)])
        torch.testing.assert_close(told[0], told[1])

    @pytest.mark.parametrize("burn_in", [0, 2])
    def test_values_of_a_stored_sequence_are_those_it_was_decided_by(self, burn_in: int) -> None:
        """Whatever begins and ends on the way: the memory kept with the first row is that before it was read."""
        envs = worlds.vector(worlds.Recall, STREAMS)
        agent = self.build(worlds.spec_of(envs), STREAMS, burn_in=burn_in)
        replay, state, decided = self.remember(agent, STREAMS, 0), loops.begin(envs, 0), []
        for _ in range(24):
            told = agent.act(state.percept, state.memory, explore=False)
            decided.append(told.extras["q"])
            decision = agent.act(state.percept, state.memory, explore=True)
            replay.insert(state.percept, decision)
            loops.advance(envs, state, decision.action, decision.memory)
        window = replay.get_batch(32, agent.length)
        assert window.extras[MEMORY].shape[:2] == (1, 32)
        memory = window.extras[MEMORY][0]
        values = agent.core.unroll(agent.core.read(window.percept), memory, burn_in)
        wanted, found = torch.stack(decided), values.online.detach()
        place = torch.from_numpy(replay.sampler.inner._drawn)
        for column, (tick, stream) in enumerate(zip(place // STREAMS * agent.period, place % STREAMS, strict=True)):
            torch.testing.assert_close(
                found[:, column], wanted[tick : tick + agent.length + 1, stream], atol=1e-5, rtol=0.0
            )
        torch.testing.assert_close(values.target, found, atol=1e-5, rtol=0.0)

    def test_sequences_begin_at_every_period_of_every_stream(self) -> None:
        agent = self.build(self.spec(), STREAMS, replay={"prioritised": False})
        replay, rows = self.remember(agent, STREAMS, 0), []
        for tick in range(20):
            blank = see([[float(tick)]] * STREAMS)
            rows.append(tick)
            replay.insert(blank, Decision(torch.arange(STREAMS)))
        window = replay.get_batch(500, agent.length)
        starts = {(int(obs), int(action)) for obs, action in zip(window.obs[0, :, 0], window.action[0], strict=True)}
        assert starts == {(tick, stream) for tick in (0, 4, 8) for stream in range(STREAMS)}

    def test_rows_to_learn_from(self) -> None:
        """After the burn-in, or since an episode began in the window; never the row of a reset."""
        agent = self.build(self.spec(), STREAMS)
        window = self.window(agent, self.spec())
        window.percept.last[0, 0], window.percept.first[1, 0] = True, True
        window.percept.last[4, 1], window.percept.first[5, 1] = True, True
        wanted = torch.ones(8, STREAMS)
        wanted[:2] = 0.0
        wanted[1, 0], wanted[4, 1] = 1.0, 0.0
        assert torch.equal(trained(window, 2, torch.device("cpu")), wanted)

    def test_no_gradient_comes_from_the_burn_in(self) -> None:
        agent = self.build(self.spec(), STREAMS, burn_in=3)
        window = self.window(agent, self.spec())
        window.percept.obs.requires_grad_()
        agent.loss(window)[0].backward()
        grad = window.percept.obs.grad
        assert grad is not None
        assert grad[:3].abs().max() == 0.0
        assert grad[3:9].abs().min() > 0.0

    @pytest.mark.parametrize("epsilon", [None, 1e-3])
    def test_target_and_loss_by_hand(self, epsilon: float | None) -> None:
        """Sequences of three actions, the second the last of its episode, of which the first is burnt in.

        The online network holds action 1 the better, the target network gives it 1. Rewards are 1, gamma .5: three
        streams in which nothing, the task and the record end. Returns of two steps are cut to one where the window or
        the episode ends.
        """
        agent = self.build(self.spec(), 3, burn_in=0, trace=3, period=3, gamma=0.5, eta=0.5, rescale=epsilon)
        for network, numbers in ((agent.core.online, [0.0, 2.0]), (agent.core.target, [4.0, 1.0])):
            self.answer(network, numbers)
        no = torch.zeros(4, 3, dtype=torch.bool)
        first, last, discount = no.clone(), no.clone(), torch.ones(4, 3)
        last[2, 1:], first[3, 1:], discount[2, 1] = True, True, 0.0
        one = torch.ones(4, 3)
        percept = Percept(one.unsqueeze(-1), one.long(), one, discount, first, last)
        window = Window(percept, one[1:].long(), {}, torch.tensor([1.0, 0.5, 1.0]))
        held = 1.0 if epsilon is None else self.inverse(1.0, epsilon)
        whole, short = 1.0 + 0.5 + 0.25 * held, 1.0 + 0.5 * held
        wanted = torch.tensor([[whole, whole, short], [1.5, 1.0, 0.0], [whole, short, 0.0]]).T
        squash = (lambda x: x) if epsilon is None else (lambda x: rescale(x, epsilon))
        error = squash(wanted) - 2.0
        real = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 1.0, 0.0]]).T
        loss, _, priority = agent.loss(window)
        each = (0.5 * error.square() * real).sum(0)
        torch.testing.assert_close(loss.detach(), (each * window.weight).mean())
        size = error.abs() * real
        torch.testing.assert_close(priority, 0.5 * size.amax(0) + 0.5 * size.sum(0) / real.sum(0))

    def answer(self, network: Any, numbers: list[float]) -> None:
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()
            network.advantage.layers[-1].bias.copy_(torch.tensor(numbers))
            network.value.layers[-1].bias.fill_(sum(numbers) / len(numbers))

    def inverse(self, value: float, epsilon: float) -> float:
        """Of the rescaling, by bisection."""
        low, high = 0.0, 100.0
        for _ in range(80):
            middle = (low + high) / 2
            squashed = (middle + 1.0) ** 0.5 - 1.0 + epsilon * middle
            low, high = (middle, high) if squashed < value else (low, middle)
        return low

    def test_every_stream_explores_at_its_own_rate(self) -> None:
        """0.4 to the power of 1 + 7 i / (N - 1), as the paper of Ape-X has it."""
        wanted = torch.tensor([0.4, 0.4 ** (1 + 7 / 3), 0.4 ** (1 + 14 / 3), 0.4**8])
        torch.testing.assert_close(epsilons(4, 0.4, 7.0), wanted)
        torch.testing.assert_close(epsilons(1, 0.4, 7.0), torch.tensor([0.4**4.5]))
        agent = self.build(self.spec(), 2, epsilon=1.0, epsilon_exponent=1e9)
        agent.epsilons[1] = 0.0
        self.answer(agent.core.online, [0.0, 1.0])
        chosen = torch.stack([agent.act(see([[0.0]] * 2), None, explore=True).action for _ in range(400)])
        assert 0.4 < chosen[:, 0].float().mean() < 0.6
        assert bool((chosen[:, 1] == 1).all())

    def test_the_target_network_follows_by_copies(self) -> None:
        agent = self.build(self.spec(), STREAMS, target_every=2)
        before = copy.deepcopy(agent.core.target.state_dict())
        agent.learn(self.window(agent, self.spec()))
        assert_same(before, agent.core.target.state_dict())
        agent.learn(self.window(agent, self.spec()))
        assert_same(agent.core.online.state_dict(), agent.core.target.state_dict())

    @pytest.mark.slow
    def test_remembers_what_was_seen_once(self) -> None:
        """A sign is shown first; the action that matches it earns 1 three steps later: who forgets it earns 0."""
        envs = worlds.vector(worlds.Recall, 8)
        _, reports = self.run(envs, 16_000, gamma=0.9, epsilon=0.2)
        returns = [report.metrics["episode/return"] for report in reports if "episode/return" in report.metrics]
        assert sum(returns[-10:]) / 10 > 0.7
