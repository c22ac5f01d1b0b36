import array_api_compat.numpy as xp
import numpy as np
import pytest

from feeds.backend import backend
from feeds.market.config import Reward
from feeds.market.rewards import Outcome, differential_sharpe, make_rewarder
from tests.universe import market, play, random_closes, rewards, whole


def test_differential_sharpe_by_hand() -> None:
    """A = 0.01, B = 0.0005, R = 0.03: dA = 0.02, dB = 0.0004, and (B dA - A dB / 2) / (B - A^2)^1.5 = 1."""
    moments = np.array([[0.01, 0.0005, 900.0]])
    value, after = differential_sharpe(xp, np.log(np.array([1.03])), moments, 0.1)
    assert value[0] == pytest.approx((0.0005 * 0.02 - 0.5 * 0.01 * 0.0004) / 0.0004**1.5)
    assert value[0] == pytest.approx(1.0)
    np.testing.assert_allclose(after, [[0.012, 0.00054, 901.0]])


def test_differential_sharpe_is_the_derivative_of_the_sharpe_ratio() -> None:
    moments, log_return = np.array([[0.002, 0.0003, 1e9]]), np.log(np.array([0.985]))
    value, _ = differential_sharpe(xp, log_return, moments, 0.0)
    tiny = 1e-7
    _, after = differential_sharpe(xp, log_return, moments, tiny)
    sharpe = lambda m: m[0, 0] / np.sqrt(m[0, 1] - m[0, 0] ** 2)  # noqa: E731
    assert value[0] == pytest.approx((sharpe(after) - sharpe(moments)) / tiny, rel=1e-4)


def test_without_variance_there_is_nothing_to_differ() -> None:
    value, _ = differential_sharpe(xp, np.zeros(2), np.zeros((2, 3)), 0.1)
    assert value.tolist() == [0.0, 0.0]


def test_penalties_are_taken_off() -> None:
    reward = make_rewarder(Reward(drawdown_penalty=2.0, turnover_penalty=0.5), backend("cpu"))
    outcome = Outcome(np.array([0.1, 0.1]), np.array([0.3, 0.1]), np.array([0.2, 0.2]), np.array([0.4, 0.0]))
    np.testing.assert_allclose(reward(outcome, np.zeros((2, 0)))[0], [0.1 - 2.0 * 0.1 - 0.5 * 0.4, 0.1])


def test_penalties_leave_the_reported_wealth_alone() -> None:
    close = random_closes(80)
    plain, punished = (
        play(whole(market(close, reward=settings)), np.full(4, 0.25))
        for settings in ({}, {"drawdown_penalty": 1.0, "turnover_penalty": 1.0})
    )
    assert [float(s.info["wealth"][0]) for s in plain] == [float(s.info["wealth"][0]) for s in punished]
    turnover = sum(float(step.info["turnover"][0]) for step in punished)
    assert rewards(punished).sum() < rewards(plain).sum() - turnover


def test_the_feed_carries_the_moments_of_a_differential_sharpe() -> None:
    feed = whole(market(random_closes(80), reward={"kind": "differential_sharpe", "sharpe_decay": 0.05}))
    tape = play(feed, np.full(4, 0.25))
    moments, expected = np.zeros((1, 3)), []
    for step in tape[1:]:
        value, moments = differential_sharpe(xp, step.info["log_return"].sum(1), moments, 0.05)
        expected.append(value[0])
    np.testing.assert_allclose(rewards(tape), expected, atol=1e-15)
    assert 0.0 < np.abs(expected).max() < 100.0


def test_the_first_moments_are_plain_means() -> None:
    returns, moments = np.array([0.02, -0.01, 0.03]), np.zeros((1, 3))
    for simple in returns:
        _, moments = differential_sharpe(xp, np.log1p([simple]), moments, 0.01)
    np.testing.assert_allclose(moments, [[returns.mean(), (returns**2).mean(), 3.0]])
