"""Hand-worked returns. One stream a column: rewards 1, 1, 0, 5 with an end after the second or none at all."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from angle_domains.losses.returns import discounted_return, gae, n_step, n_step_return, n_step_returns


def column(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float32).unsqueeze(-1)


def test_gae_without_an_end() -> None:
    got = gae(column(1, 2), 0.5 * column(1, 1), column(1, 1), column(3, 4, 6), 0.5)
    # delta_1 = 2 + .5·6 - 4 = 1; delta_0 = 1 + .5·4 - 3 = 0, plus .5·.5·1
    torch.testing.assert_close(got, column(0.25, 1.0))


def test_gae_at_a_termination_has_no_bootstrap() -> None:
    # The second action ends the task; the third row is the reset, the value 10 seen there must not count.
    got = gae(column(1, 1, 0, 5), 0.5 * column(1, 0, 1, 1), column(1, 1, 0, 1), column(0, 0, 10, 0, 8), 1.0)
    torch.testing.assert_close(got[[0, 1, 3]], column(1 + 0.5 * 1, 1.0, 5 + 0.5 * 8))


def test_gae_at_a_truncation_bootstraps_from_the_final_observation_alone() -> None:
    got = gae(column(1, 1, 0, 5), 0.5 * column(1, 1, 1, 0), column(1, 1, 0, 1), column(0, 0, 10, 0, 7), 1.0)
    torch.testing.assert_close(got[[0, 1, 3]], column(1 + 0.5 * 6, 1 + 0.5 * 10, 5.0))


def test_gae_keeps_streams_apart() -> None:
    reward = torch.tensor([[1.0, 9.0], [2.0, 9.0]])
    both = gae(reward, 0.5 * torch.ones(2, 2), torch.ones(2, 2), torch.tensor([[3.0, 0], [4.0, 0], [6.0, 0]]), 0.5)
    torch.testing.assert_close(both[:, :1], column(0.25, 1.0))


def test_returns_at_a_truncation_and_a_termination() -> None:
    next_value = column(-1, 10, -1, 8)
    truncated = discounted_return(column(1, 1, 0, 5), 0.5 * column(1, 1, 1, 1), column(1, 1, 0, 1), next_value)
    torch.testing.assert_close(truncated[[0, 1, 3]], column(1 + 0.5 * 6, 1 + 0.5 * 10, 5 + 0.5 * 8))
    terminated = discounted_return(column(1, 1, 0, 5), 0.5 * column(1, 0, 1, 1), column(1, 1, 0, 1), next_value)
    torch.testing.assert_close(terminated[[0, 1, 3]], column(1 + 0.5 * 1, 1.0, 5 + 0.5 * 8))


def test_n_step_return_stops_at_the_end_of_the_episode() -> None:
    assert n_step_return(column(1, 2, 100), 0.5 * column(1, 1, 1), column(1, 1, 0), column(-1, 4, -1)).item() == 3.0
    assert n_step_return(column(1, 2, 4), 0.5 * column(1, 1, 1), column(1, 1, 1), column(-1, -1, 8)).item() == 4.0
    assert n_step_return(column(1, 2, 100), 0.5 * column(1, 0, 1), column(1, 1, 0), column(-1, 4, -1)).item() == 2.0


def test_n_step_returns_of_an_episode_that_was_cut_and_of_one_that_ended() -> None:
    value = column(-1, -1, 4, 8)
    cut = n_step_returns(column(1, 2, 4), 0.5 * column(1, 1, 1), value, 2)
    torch.testing.assert_close(cut, column(1 + 0.5 * 2 + 0.25 * 4, 2 + 0.5 * 4 + 0.25 * 8, 4 + 0.5 * 8))
    over = n_step_returns(column(1, 2, 4), 0.5 * column(1, 1, 0), value, 2)
    torch.testing.assert_close(over, column(1 + 0.5 * 2 + 0.25 * 4, 2 + 0.5 * 4, 4))
    whole = n_step_returns(column(1, 2, 4), 0.5 * column(1, 1, 0), value, 9)
    torch.testing.assert_close(
        whole, discounted_return(column(1, 2, 4), 0.5 * column(1, 1, 0), torch.ones(3, 1), value[1:])
    )


@given(st.lists(st.tuples(*[st.floats(-10, 10)] * 2, st.booleans(), st.booleans()), min_size=1, max_size=12))
def test_gae_with_lambda_1_is_the_return_less_the_value(rows: list[tuple[float, float, bool, bool]]) -> None:
    reward = column(*(row[0] for row in rows))
    value = column(*(row[1] for row in rows), 0.5)
    last = [row[2] for row in rows]
    terminated = [row[3] and end for row, end in zip(rows, [*last[1:], False], strict=True)]
    discount, real = column(*(0.9 * (not t) for t in terminated)), column(*(float(not end) for end in last))
    full = discounted_return(reward, discount, real, value[1:])
    advantage = gae(reward, discount, real, value, 1.0)
    taken = real > 0
    torch.testing.assert_close(advantage[taken], (full - value[:-1])[taken], atol=1e-3, rtol=1e-4)


def test_no_gradient_flows_through_a_return() -> None:
    value = torch.zeros(3, 1, requires_grad=True)
    assert not gae(column(1, 2), column(1, 1), column(1, 1), value, 0.5).requires_grad
    for function in (discounted_return, n_step_return):
        assert not function(column(1, 2), column(1, 1), column(1, 1), value[1:]).requires_grad


@pytest.mark.parametrize("function", [discounted_return, n_step_return])
def test_one_action_is_a_one_step_target(function: object) -> None:
    assert callable(function)
    assert function(column(1), column(0.5), column(1), column(4)).item() == 3.0


@pytest.mark.parametrize(
    ("rewards", "discounts", "real", "reward", "discount", "steps"),
    [
        ((1, 2, 4), (0.5, 0.5, 0.5), (1, 1, 1), 3.0, 0.125, 3),  # 1 + .5·2 + .25·4
        ((1, 2, 100), (0.5, 0.5, 0.5), (1, 1, 0), 2.0, 0.25, 2),  # truncated after two: gamma squared, not cubed
        ((1, 100, 100), (0.5, 0.5, 0.5), (1, 0, 1), 1.0, 0.5, 1),  # and the episode that follows counts nothing
        ((1, 2, 100), (0.5, 0.0, 0.5), (1, 1, 0), 2.0, 0.0, 2),  # terminated after two
        ((1, 2, 4), (0.5, 0.5, 0.0), (1, 1, 1), 3.0, 0.0, 3),  # terminated at the very end
    ],
)
def test_n_step_by_hand(
    rewards: list[float], discounts: list[float], real: list[float], reward: float, discount: float, steps: int
) -> None:
    got = n_step(column(*rewards), column(*discounts), column(*real))
    assert (got.reward.item(), got.discount.item(), got.steps.item()) == (reward, discount, steps)


@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(-10, 10), st.integers(0, 5)), min_size=1, max_size=8))
def test_n_step_and_its_bootstrap_are_the_n_step_return(rows: list[tuple[float, float, int]]) -> None:
    """An end in the row after an action, one in two of them a termination."""
    reward, value = column(*(row[0] for row in rows)), column(*(row[1] for row in rows))
    end = [row[2] < 2 for row in rows]
    discount = column(*(0.0 if row[2] == 0 else 0.9 for row in rows))
    real = column(1.0, *(float(not ended) for ended in end[:-1]))
    got = n_step(reward, discount, real)
    bootstrapped = got.reward + got.discount * value[got.steps - 1, torch.arange(1)]
    torch.testing.assert_close(bootstrapped, n_step_return(reward, discount, real, value), atol=1e-4, rtol=1e-4)
