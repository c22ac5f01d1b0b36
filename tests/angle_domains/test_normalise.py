import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from angle_domains.normalise import ReturnScaler, RunningMoments
from tests.contracts.trees import assert_same


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 2**31), st.sampled_from([0.0, 1e3, -1e5]))
def test_moments_of_batches_are_those_of_all_rows(sizes: list[int], seed: int, centre: float) -> None:
    chance = torch.Generator().manual_seed(seed)
    batches = [centre + 3.0 * torch.randn(size, 2, generator=chance) for size in sizes]
    moments = RunningMoments(2)
    for batch in batches:
        moments.update(batch)
    rows = torch.cat(batches).double()
    torch.testing.assert_close(moments.mean, rows.mean(0), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(moments.variance, rows.var(0, correction=0), rtol=1e-4, atol=1e-4)
    assert moments.count == sum(sizes)


def test_nothing_seen_changes_nothing_but_the_clip() -> None:
    moments = RunningMoments(2, clip=10.0)
    assert moments.normalise(torch.tensor([[3.0, -40.0]])).tolist() == [[3.0, -10.0]]


def test_normalise_by_hand() -> None:
    moments = RunningMoments(1)
    moments.update(torch.tensor([[1.0], [3.0]]))
    torch.testing.assert_close(
        moments.normalise(torch.tensor([[2.0], [4.0], [99.0]])), torch.tensor([[0.0], [2.0], [10.0]])
    )


def test_entries_of_a_group_share_the_moments_of_all() -> None:
    moments = RunningMoments(3, groups=[0, 1, 0])
    rows = torch.tensor([[1.0, 5.0, 3.0], [2.0, 9.0, 8.0]])
    moments.update(rows)
    pooled = rows[:, [0, 2]]
    expected = (pooled - pooled.mean()) / pooled.std(correction=0)
    torch.testing.assert_close(moments.normalise(rows)[:, [0, 2]], expected)
    torch.testing.assert_close(moments.normalise(rows)[:, 1], torch.tensor([-1.0, 1.0]))


def test_a_constant_entry_becomes_zero() -> None:
    moments = RunningMoments(1)
    moments.update(torch.full((100, 1), 0.1))
    assert moments.normalise(torch.full((3, 1), 0.1)).abs().max() < 1e-2


def test_normalising_leaves_its_argument_alone() -> None:
    x = torch.full((2, 1), 50.0)
    RunningMoments(1).normalise(x)
    assert x.tolist() == [[50.0], [50.0]]


def column(*values: float) -> torch.Tensor:
    """`[T, 1]`"""
    return torch.tensor(values).unsqueeze(-1)


def test_reward_scale_by_hand() -> None:
    scaler = ReturnScaler(1, gamma=0.5)
    # sums: 2, 1 + 4 = 5, then the episode ends and the stream resets; 3 begins a new one
    scaler.update(column(2, 4, 0, 3.0), column(True, False, False, True), column(1, 1, 0, 1.0))
    deviation = torch.tensor([2.0, 5.0, 3.0]).std(correction=0)
    torch.testing.assert_close(scaler.scale(column(1.0)), (1.0 / deviation).reshape(1, 1))
    scaler.update(column(1.0), column(False), column(1.0))  # 1.5 + 1 goes on where the window ended
    deviation = torch.tensor([2.0, 5.0, 3.0, 2.5]).std(correction=0)
    torch.testing.assert_close(scaler.scale(column(1.0)), (1.0 / deviation).reshape(1, 1))


def test_the_return_of_an_episode_that_was_lost_does_not_go_on_in_the_next() -> None:
    scaler, other = (ReturnScaler(1, gamma=0.5) for _ in range(2))
    scaler.update(column(2, 4.0), column(True, False), column(1, 1.0))
    scaler.update(column(1, 1.0), column(True, False), column(1, 1.0))  # begun anew, no row says that the first ended
    other.update(column(2, 4, 0, 1, 1.0), column(True, False, False, True, False), column(1, 1, 0, 1, 1.0))
    torch.testing.assert_close(scaler.scale(column(1.0)), other.scale(column(1.0)))


def test_episodes_of_one_action_are_scaled_by_the_deviation_of_their_rewards() -> None:
    scaler = ReturnScaler(1, gamma=0.99)
    resets = column(1, 0, 1, 0.0)
    scaler.update(column(1, 0, -1, 0.0), resets > 0, resets)
    torch.testing.assert_close(scaler.scale(column(1.0, -1.0)), column(1.0, -1.0))


def test_a_window_of_resets_alone_leaves_the_reward_scale_as_it_was() -> None:
    scaler = ReturnScaler(1, gamma=0.5)
    scaler.update(column(1, -2.0), column(False, True), column(1, 1.0))
    before = scaler.scale(column(1.0))
    scaler.update(column(0.0), column(False), column(0.0))
    assert torch.equal(scaler.scale(column(1.0)), before)


def test_reward_scale_is_clipped_and_keeps_the_sign() -> None:
    scaler = ReturnScaler(2, gamma=0.9, clip=5.0)
    scaler.update(torch.tensor([[0.1, -0.1]]), torch.tensor([[False, False]]), torch.ones(1, 2))
    assert scaler.scale(torch.tensor([[100.0, -100.0]])).tolist() == [[5.0, -5.0]]
    assert ReturnScaler(2, gamma=0.9).scale(torch.tensor([[100.0, -100.0]])).tolist() == [[10.0, -10.0]]


@pytest.mark.parametrize("make", [lambda: RunningMoments(2), lambda: ReturnScaler(2, gamma=0.9)])
def test_states_go_on_to_the_bit(make: object) -> None:
    assert callable(make)
    chance = torch.Generator().manual_seed(0)

    def feed(part: RunningMoments | ReturnScaler) -> None:
        x = torch.randn(4, 2, generator=chance)
        if isinstance(part, ReturnScaler):
            part.update(x, x > 1.0, torch.ones_like(x))
        else:
            part.update(x)

    one, other = make(), make()
    feed(one)
    other.load_state_dict(one.state_dict())
    for part in (one, other):
        chance.manual_seed(1)
        feed(part)
    assert_same(one.state_dict(), other.state_dict())
