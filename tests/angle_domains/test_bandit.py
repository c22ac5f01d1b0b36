import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from angle_domains.bandit import Bandit, BanditConfig
from angle_domains.errors import CheckpointError, ConfigError
from tests.contracts.trees import assert_same

ALL = torch.ones(1, dtype=torch.bool)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def one(window: int, arms: int, *, beta: float = 1.0, epsilon: float = 0.0) -> Bandit:
    return Bandit(BanditConfig(window=window, beta=beta, epsilon=epsilon), streams=1, arms=arms)


def tell(bandit: Bandit, arm: int, value: float) -> None:
    bandit.record(torch.tensor([arm]), torch.tensor([value]), ALL)


def test_each_arm_comes_once_first() -> None:
    bandit, generator, seen = one(9, 4, epsilon=1.0), chance(), []
    for _ in range(4):
        arm = bandit.choose(generator)
        seen.append(arm.item())
        tell(bandit, seen[-1], 100.0 * (seen[-1] == 0))
    assert seen == [0, 1, 2, 3]


def test_bounds_by_hand_and_what_left_the_window() -> None:
    bandit = one(4, 3, beta=2.0)
    for arm, value in [(0, 5.0), (1, 1.0), (2, 0.0), (1, 4.0)]:
        tell(bandit, arm, value)
    torch.testing.assert_close(bandit.bound()[0].float(), torch.tensor([7.0, 2.5 + 2 / math.sqrt(2), 2.0]))
    assert (bandit.choose(chance()).item(), bandit.best().item()) == (0, 0)
    tell(bandit, 1, 4.0)  # the first pull, of arm 0, is forgotten
    torch.testing.assert_close(bandit.bound()[0].float(), torch.tensor([math.inf, 3.0 + 2 / math.sqrt(3), 2.0]))
    assert (bandit.choose(chance()).item(), bandit.best().item()) == (0, 1)


def test_ties_are_broken_by_the_generator() -> None:
    bandit = one(4, 3)
    for arm in range(3):
        tell(bandit, arm, float(arm < 2))
    assert {bandit.choose(chance(seed)).item() for seed in range(40)} == {0, 1}
    assert bandit.choose(chance(7)).item() == bandit.choose(chance(7)).item()


def test_the_share_of_chance_pulls() -> None:
    config = BanditConfig(window=4, epsilon=0.5)
    bandit = Bandit(config, streams=4_000, arms=4)
    every = torch.ones(4_000, dtype=torch.bool)
    for arm in range(4):
        bandit.record(torch.full((4_000,), arm), torch.full((4_000,), 9.0 * (arm == 2)), every)
    share = torch.bincount(bandit.choose(chance()), minlength=4) / 4_000
    torch.testing.assert_close(share, torch.tensor([0.125, 0.125, 0.625, 0.125]), atol=0.03, rtol=0)


def test_it_follows_a_switching_arm_within_one_window() -> None:
    """The worth of arms swaps from stream to stream; after it did, all that the window holds is of the new kind."""
    streams, window, arms = 8, 30, 4
    bandit = Bandit(BanditConfig(window=window, beta=1.0, epsilon=0.5), streams=streams, arms=arms)
    generator, every = chance(3), torch.ones(streams, dtype=torch.bool)
    good = torch.arange(streams) % arms
    for phase in range(3):
        wanted = (good + phase) % arms
        for _ in range(window):
            arm = bandit.choose(generator)
            noise = 0.5 * torch.randn(streams, generator=generator)
            bandit.record(arm, 5.0 * (arm == wanted) + noise, every)
        assert torch.equal(bandit.best(), wanted)
        greedy = Bandit(BanditConfig(window=window, beta=1.0, epsilon=0.0), streams=streams, arms=arms)
        greedy.load_state_dict(bandit.state_dict())
        assert torch.equal(greedy.choose(generator), wanted)


@given(
    st.integers(1, 4),
    st.integers(0, 5),
    st.lists(st.tuples(st.integers(0, 2**31), st.floats(-1e6, 1e6)), max_size=25),
)
def test_any_record_leaves_a_valid_ring_whose_sums_are_those_of_the_last_pulls(
    arms: int, more: int, pulls: list[tuple[int, float]]
) -> None:
    window = arms + more
    bandit = Bandit(BanditConfig(window=window), streams=2, arms=arms)
    past: list[list[tuple[int, float]]] = [[], []]
    for draw, value in pulls:
        arm, over = torch.tensor([draw % arms, draw // 7 % arms]), torch.tensor([draw % 3 > 0, draw % 5 > 0])
        bandit.record(arm, torch.tensor([value, -value], dtype=torch.float64), over)
        bandit.check_valid()
        for stream, sign in enumerate((1.0, -1.0)):
            past[stream] += [(int(arm[stream]), sign * value)] * bool(over[stream])
    bound = bandit.bound()
    for stream, told in enumerate(past):
        for arm_ in range(arms):
            held = [value for each, value in told[-window:] if each == arm_]
            expected = sum(held) / len(held) + 1 / math.sqrt(len(held)) if held else math.inf
            assert bound[stream, arm_].item() == pytest.approx(expected, abs=1e-6)


def test_goes_on_to_the_bit() -> None:
    first, other = (Bandit(BanditConfig(window=6), streams=3, arms=2) for _ in range(2))
    drawn = chance(1)

    def pull(bandit: Bandit, times: int) -> None:
        for _ in range(times):
            arm = bandit.choose(drawn)
            bandit.record(arm, torch.randn(3, generator=drawn), torch.rand(3, generator=drawn) < 0.6)

    pull(first, 20)
    other.load_state_dict(first.state_dict())
    state = drawn.get_state()
    pull(first, 20)
    drawn.set_state(state)
    pull(other, 20)
    assert_same(first.state_dict(), other.state_dict())


def test_mistakes_are_found() -> None:
    with pytest.raises(ConfigError, match="window=3 is less than the 4 arms"):
        one(3, 4)
    bandit = one(3, 2)
    tell(bandit, 0, 1.0)
    bandit.count += 1
    with pytest.raises(AssertionError):
        bandit.check_valid()


def test_a_lucky_pull_makes_no_favourite() -> None:
    bandit = one(20, 2)
    for _ in range(9):
        tell(bandit, 0, 3.0)
    tell(bandit, 1, 3.5)
    assert bandit.best().item() == 1
    assert bandit.favourite() == 0


def test_another_window_or_other_streams_are_refused() -> None:
    state = one(20, 2).state_dict()
    with pytest.raises(CheckpointError, match="1 streams and a window of 20, not 1 and 40"):
        one(40, 2).load_state_dict(state)
