from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from angle_domains.agents import bcq
from angle_domains.loops import OfflineState, offline
from angle_domains.replay import recorded
from angle_domains.support import Support
from tests.contracts.agent_contract import see
from tests.contracts.offline_contract import OfflineContract, spec_of_choices
from tests.contracts.value_contract import ValueContract
from tests.logs import lucky, rows_of


class TestBCQ(OfflineContract):
    module, config = bcq, bcq.BCQConfig
    settings: ClassVar[dict[str, Any]] = {
        "network": {"hidden": (32, 32), "activation": "relu"},
        "learning_rate": 3e-3,
        "threshold": 0.2,
        "tau": 0.1,
        "replay": {"batch": 64},
    }
    value, check_portrayed_values = ValueContract.value, ValueContract.check_portrayed_values

    def test_support_by_hand(self) -> None:
        """Likelihoods .6, .3, .1: with a threshold of .4 the first two are supported."""
        agent = self.build(spec_of_choices(3), 1, threshold=0.4)
        output = torch.stack([torch.tensor([1.0, 2.0, 9.0]), torch.tensor([0.6, 0.3, 0.1]).log()], -1)[None]
        found = agent.supported(output, torch.zeros(1, 1), None)
        assert found[0, :2].tolist() == [1.0, 2.0]
        assert found[0, 2] < 1.0  # below all values, although it is of value 9
        only = agent.supported(output, torch.zeros(1, 1), torch.tensor([[False, True, True]]))  # .75 and .25
        assert only.argmax().item() == 1
        assert only[0, 2] < 1.0

    def test_rare_luck_is_not_believed(self) -> None:
        """Forty actions taken once each, half of them lucky, and one taken often: trap 9."""
        for support in ({"support": "estimated"}, {"support": "counted", "least": 5}):
            agent = self.build(spec_of_choices(41), 1, replay={"batch": 240}, **support)
            list(offline(agent, recorded(lucky(), agent, seed=0, device="cpu"), OfflineState(), steps=300))
            decision = agent.act(see([[0.0]]), None, explore=False)
            assert decision.action.tolist() == [40]
            assert decision.extras["q"].max().item() == pytest.approx(0.5, abs=0.1)


class TestCountedBCQ(OfflineContract):
    module, config = bcq, bcq.BCQConfig
    test_values_of_probe_worlds: ClassVar[None] = None  # those of its sister class say it
    settings: ClassVar[dict[str, Any]] = TestBCQ.settings | {"support": "counted", "least": 3}
    value, check_portrayed_values = ValueContract.value, ValueContract.check_portrayed_values

    def test_only_what_was_taken_often_enough_is_ever_recommended(self) -> None:
        chance = np.random.default_rng(0)
        episodes = []
        for _ in range(200):
            obs, action = chance.integers(3), chance.integers(4) if chance.random() < 0.3 else 0
            reward = [float(action)]
            episodes.append({"obs": [obs, obs], "action": [action], "reward": reward, "ended": True})
        rows = rows_of(episodes)
        agent = self.build(spec_of_choices(4), 1, least=8)
        list(offline(agent, recorded(rows, agent, seed=0, device="cpu"), OfflineState(), steps=30))
        held = ~rows.last
        for state in range(3):
            counts = np.bincount(rows.action[held][rows.observation[held, 0] == state], minlength=4)
            chosen = int(agent.act(see([[float(state)]]), None, explore=False).action)
            assert counts[chosen] >= 8
        unseen = see([[7.0]])._replace(mask=torch.tensor([[False, True, False, False]]))
        assert agent.act(unseen, None, explore=False).action.tolist() == [1]


@pytest.mark.parametrize("reach", [1e-3, 1.0, 1e6])
def test_what_lies_below_keeps_its_order_and_touches_no_value(reach: float) -> None:
    """Counts that differ by one, and likelihoods of actions never taken that differ by a thousandth."""
    q = reach * torch.tensor([[-1.0, -0.5, 1.0, 0.9, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0]])
    score = torch.tensor([[0.0, 0.501, 0.5, 7.0, 6.0], [0.002, 0.001, 0.003, 0.0, 0.004]])
    low = bcq.below(q, score)
    assert (low.amax(-1) < q.amin(-1)).all()
    assert low.argsort(-1).tolist() == score.argsort(-1).tolist()


def test_forbidden_counts_leave_the_likeliest_of_what_is_allowed() -> None:
    """The only action that was taken is forbidden: between two that never were a thousandth of likelihood decides."""
    config = bcq.BCQConfig(support="counted", least=1, network={"hidden": (4,)})  # type: ignore[arg-type]
    agent = bcq.build(config, spec_of_choices(3), streams=1, seed=0, device="cpu")
    agent.support.count(torch.zeros(2, 1), torch.tensor([0, 0]))
    likely = torch.tensor([0.2, 0.3995, 0.4005])
    output = torch.stack([torch.tensor([5.0, 3.0, 1.0]), likely.log()], -1)[None]
    mask = torch.tensor([[False, True, True]])
    assert agent.supported(output, torch.zeros(1, 1), mask).masked_fill(~mask, -torch.inf).argmax().item() == 2


def test_counts_are_found_again() -> None:
    chance = torch.Generator().manual_seed(0)
    states = torch.randn(500, 3, generator=chance)
    place, action = (torch.randint(n, (20_000,), generator=chance) for n in (500, 7))
    support = Support(7)
    support.count(states[place], action)
    wanted = torch.zeros(500, 7)
    wanted.index_put_((place, action), torch.ones(20_000), accumulate=True)
    assert torch.equal(support(states), wanted)
    assert support(states + 1e-3).sum() == 0
    assert torch.equal(support(torch.tensor([[0.0, 1.0, 2.0]])), torch.zeros(1, 7))
    other = Support(7)
    other.load_state_dict(support.state_dict())
    assert torch.equal(other(states), wanted)


def test_observations_that_differ_in_one_small_number_are_told_apart() -> None:
    grid = torch.cartesian_prod(torch.arange(64.0), torch.arange(64.0), torch.tensor([-1.0, 0.0, 0.5]))
    support = Support(1)
    support.count(grid, torch.zeros(len(grid), dtype=torch.long))
    assert len(support.keys) == len(grid)
