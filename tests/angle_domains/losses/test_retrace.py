"""Hand-worked targets of sequences; the literals of the last test were computed with rlax 0.1.9, once."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from angle_domains.losses.rescale import rescale, restore
from angle_domains.losses.retrace import Taken, n_step_sequence, transformed_retrace
from angle_domains.losses.returns import discounted_return, n_step_return

ROWS = st.lists(st.tuples(st.floats(-10, 10), st.floats(-10, 10), st.integers(0, 5)), min_size=1, max_size=9)


def column(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float32).unsqueeze(-1)


def read(rows: list[tuple[float, float, int]]) -> tuple[torch.Tensor, ...]:
    """Reward, discount, real and value: an end in the row after an action, one in two of them a termination."""
    reward, value = column(*(row[0] for row in rows)), column(*(row[1] for row in rows), 0.5)
    real = column(1.0, *(float(row[2] >= 2) for row in rows[:-1]))
    real[1:] = torch.where(real[:-1] > 0, real[1:], torch.ones(()))  # after a reset an episode begins
    return reward, column(*(0.0 if row[2] == 0 else 0.9 for row in rows)), real, value


def test_two_steps_within_the_window() -> None:
    got = n_step_sequence(column(1, 2, 4), column(0.5, 0.5, 0.5), column(1, 1, 1), column(-1, -1, 8, 16), 2)
    torch.testing.assert_close(got, column(1 + 1 + 0.25 * 8, 2 + 2 + 0.25 * 16, 4 + 0.5 * 16))


def test_two_steps_at_a_truncation_and_at_a_termination() -> None:
    reward, real, value = column(1, 2, 100, 4, 3), column(1, 1, 0, 1, 1), column(-1, -1, 8, -1, 6, 10)
    truncated = n_step_sequence(reward, 0.5 * column(1, 1, 1, 1, 1), real, value, 2)
    torch.testing.assert_close(truncated[[0, 1, 3, 4]], column(1 + 1 + 0.25 * 8, 2 + 0.5 * 8, 4 + 1.5 + 2.5, 8))
    terminated = n_step_sequence(reward, 0.5 * column(1, 0, 1, 1, 1), real, value, 2)
    torch.testing.assert_close(terminated[[0, 1, 3, 4]], column(1 + 1, 2, 4 + 1.5 + 2.5, 8))


@given(ROWS, st.integers(1, 12))
def test_every_row_has_the_return_of_the_window_that_begins_there(rows: list[tuple[float, float, int]], n: int) -> None:
    reward, discount, real, value = read(rows)
    got = n_step_sequence(reward, discount, real, value, n)
    for t in range(len(rows)):
        own = slice(t, t + n)
        if real[t] > 0:
            expected = n_step_return(reward[own], discount[own], real[own], value[1:][own])
            torch.testing.assert_close(got[t], expected, atol=1e-4, rtol=1e-4)


PLAIN = [[0.0, 3.0], [3.0, 8.0], [0.0, 8.0], [3.0, 15.0], [8.0, 0.0]]


def targets(discount: torch.Tensor, real: torch.Tensor, behaviour: torch.Tensor) -> torch.Tensor:
    """Plain targets of a policy that tosses a coin, with lambda .8; actions 1, 0, 0, 1 were taken."""
    action = torch.tensor([[1], [0], [0], [1]])
    taken = Taken(action, behaviour, column(1, 2, 100, 4), discount, real)
    q = rescale(torch.tensor(PLAIN).unsqueeze(1), 0.0)
    return restore(transformed_retrace(taken, q, torch.full((5, 1, 2), 0.5), 0.8, 0.0), 0.0)


def test_retrace_at_a_truncation_bootstraps_from_the_final_observation() -> None:
    got = targets(0.5 * column(1, 1, 1, 1), column(1, 1, 0, 1), column(0.5, 0.25, 0, 1))
    # the ratio of row 1 is 2, cut to 1; its own target is 2 + .5·4, its value 3
    torch.testing.assert_close(got[[0, 1, 3]], column(1 + 0.5 * (5.5 + 0.8 * (4 - 3)), 4, 4 + 0.5 * 4))


def test_retrace_at_a_termination_has_no_bootstrap() -> None:
    got = targets(0.5 * column(1, 0, 1, 1), column(1, 1, 0, 1), column(0.5, 0.25, 0, 1))
    torch.testing.assert_close(got[[0, 1, 3]], column(1 + 0.5 * (5.5 + 0.8 * (2 - 3)), 2, 6))


def test_the_trace_fades_where_the_policy_would_have_done_otherwise() -> None:
    got = targets(0.5 * column(1, 0, 1, 1), column(1, 1, 1, 1), column(0.5, 1, 1, 1))
    torch.testing.assert_close(got[0], torch.tensor([1 + 0.5 * (5.5 + 0.4 * (2 - 3))]))


def test_what_lies_beyond_an_end_changes_nothing() -> None:
    usual = targets(0.5 * column(1, 1, 1, 1), column(1, 1, 0, 1), column(0.5, 0.25, 0, 1))
    odd = targets(0.5 * column(1, 1, 1, 0), column(1, 1, 0, 1), column(0.5, 0.25, torch.nan, 0.1))
    assert torch.equal(usual[:2], odd[:2])


@given(ROWS)
def test_of_greedy_actions_with_lambda_1_it_is_the_return(rows: list[tuple[float, float, int]]) -> None:
    reward, discount, real, value = read(rows)
    q = rescale(torch.stack([value - 1.0, value], -1))
    greedy = torch.nn.functional.one_hot(q.argmax(-1), 2).to(torch.float32)
    taken = Taken(torch.ones(len(rows), 1, dtype=torch.int64), torch.ones_like(reward), reward, discount, real)
    got = restore(transformed_retrace(taken, q, greedy, 1.0))
    expected = discounted_return(reward, discount, real, value[1:])
    torch.testing.assert_close(got[real > 0], expected[real > 0], atol=1e-3, rtol=1e-4)


def test_no_gradient_flows_through_targets() -> None:
    q = torch.zeros(5, 1, 2, requires_grad=True)
    ones = column(1, 1, 1, 1)
    taken = Taken(torch.zeros(4, 1, dtype=torch.int64), ones, ones, ones, ones)
    assert not transformed_retrace(taken, q, torch.full((5, 1, 2), 0.5), 0.95).requires_grad
    assert not n_step_sequence(ones, ones, ones, q[..., 0], 3).requires_grad


QS = [
    [1.4, 3.28, 1.32],
    [-5.2, 3.64, 1.8],
    [-2.16, 2.32, 1.44],
    [1.16, 0.12, 2.2],
    [-2.96, -0.64, -1.92],
    [2.4, 0.16, -1.16],
    [-3.12, -1.04, 0.04],
]
POLICY = [
    [0.23, 0.185, 0.585],
    [0.576, 0.331, 0.093],
    [0.143, 0.016, 0.841],
    [0.051, 0.537, 0.412],
    [0.147, 0.83, 0.023],
    [0.519, 0.458, 0.023],
    [0.195, 0.663, 0.142],
]


def test_as_rlax_has_transformed_retrace() -> None:
    """Lambda .95, gamma .9 and no end but that the fourth discount is 0; the inverse of rlax is coarser than ours."""
    behaviour, reward = column(0.56, 0.78, 0.23, 0.84, 0.71, 0.81), column(-8, 7, -5, 9, -11, 9)
    discount, action = column(0.9, 0.9, 0.9, 0, 0.9, 0.9), torch.tensor([2, 0, 1, 2, 1, 1]).unsqueeze(-1)
    taken = Taken(action, behaviour, reward, discount, torch.ones(6, 1))
    got = transformed_retrace(taken, torch.tensor(QS).unsqueeze(1), torch.tensor(POLICY).unsqueeze(1), 0.95)
    expected = column(2.094289, 2.179384, -0.544582, 2.171278, -1.261832, 1.317578)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)
