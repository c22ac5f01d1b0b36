"""Estimators against numbers worked by hand, against expectations, and against the sample mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from angle_domains.errors import ConfigError
from angle_domains.ope import marginal
from angle_domains.ope.episodes import Episodes, discounts, returns
from angle_domains.ope.estimators import APART, ESTIMATORS, MODELS, Ratios, _blend
from angle_domains.ope.weights import log_weights
from tests.angle_domains.ope.chains import GAMMA, Q_TRUE, TRUE, V_TRUE, chain, every_path

WRONG_Q = {(1, 0): 1.0, (1, 1): 1.0, (2, 0): 2.0, (2, 1): 2.0}
WRONG_V = {1: 1.0, 2: 2.0}


def value(name: str, episodes: Episodes, gamma: float = GAMMA, level: float | None = None) -> float:
    return ESTIMATORS[name](episodes, gamma, log_weights(episodes, level)).value()


def walk(seed: int, patients: int = 60, steps: int = 7) -> tuple[np.ndarray, ...]:
    """States that hold the time, actions, rewards and who is still there: patients leave at random."""
    rng = np.random.default_rng(seed)
    real = np.cumprod(rng.random((patients, steps)) < 0.8, 1).astype(bool) | (np.arange(steps) == 0)
    state = 3 * np.arange(steps) + rng.integers(3, size=(patients, steps))
    return state, rng.integers(2, size=(patients, steps)), rng.normal(size=(patients, steps)) * real, real


def test_values_by_hand() -> None:
    # weights .4, 16/15 and 3.2; returns 0, 1.5 and 2
    three = chain("end", "two", "four", q=WRONG_Q, v=WRONG_V)
    by_hand = {
        "IS": (16 / 15 * 1.5 + 3.2 * 2) / 3,
        "WIS": (16 / 15 * 1.5 + 3.2 * 2) / (0.4 + 16 / 15 + 3.2),
        "PDIS": 3.2 / 3 + 0.25 * (16 / 15 * 2 + 3.2 * 4) / 3,
        "CWPDIS": 3.2 / 3.6 + 0.25 * (16 / 15 * 2 + 3.2 * 4) / (0.4 + 16 / 15 + 3.2),
        "DM": 1.0,
        "DR": 1 + (-0.4 + 0.8 + 0.8 + 3.2 * 0.25 * 2) / 3,
        "WDR": 1 + (-0.4 + 0.8 + 0.8) / 3.6 + 3.2 * 0.25 * 2 / (0.4 + 16 / 15 + 3.2),
    }
    for name, expected in by_hand.items():
        assert value(name, three) == pytest.approx(expected, abs=1e-12), name


@pytest.mark.parametrize("name", ["IS", "WIS", "PDIS", "CWPDIS", "DR", "WDR"])
def test_over_all_paths_the_estimate_is_the_value_whatever_was_fitted(name: str) -> None:
    assert value(name, every_path(q=WRONG_Q, v=WRONG_V)) == pytest.approx(TRUE, abs=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_with_the_right_fit_any_sample_gives_the_value(name: str) -> None:
    assert value(name, chain("end", "end", "four", q=Q_TRUE, v=V_TRUE)) == pytest.approx(TRUE, abs=1e-12)


def test_weights_are_carried_past_the_end() -> None:
    """The path that ends early keeps its .4 at the second step: without it CWPDIS would be .888 + .25 · 3.5."""
    assert np.exp(log_weights(chain("end"))) == pytest.approx(np.array([[0.4, 0.4]]))
    assert np.exp(log_weights(every_path())).mean(0) == pytest.approx([1.0, 1.0], abs=1e-12)


@pytest.mark.parametrize("gamma", [1.0, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_the_clinicians_own_policy_is_worth_the_mean_of_what_was_seen(gamma: float, seed: int) -> None:
    """With frequencies as probabilities, and the values that the records themselves make, by exact sums over cells."""
    state, action, reward, real = walk(seed)
    policy, q, v = np.ones(state.shape), np.zeros(state.shape), np.zeros(state.shape)
    for t in reversed(range(state.shape[1])):
        after = np.concatenate([v, np.zeros((len(v), 1))], 1)[:, t + 1]
        for s in np.unique(state[:, t]):
            here = real[:, t] & (state[:, t] == s)
            for a in range(2):
                cell = here & (action[:, t] == a)
                if cell.any():
                    policy[cell, t] = cell.sum() / here.sum()
                    q[cell, t] = (reward[:, t] + gamma * after)[cell].mean()
            v[here, t] = q[here, t].mean()
    patients = len(state)
    elapsed, ends = real.astype(float), np.ones(patients, bool)
    episodes = Episodes(
        reward, elapsed, policy, policy, real, np.arange(patients), ends, q=q, v=v, final=np.zeros(patients)
    )
    episodes = episodes._replace(marginal=marginal.fit(episodes, state, gamma).direct)
    for name in ESTIMATORS.keys() - {"MODEL"}:
        assert value(name, episodes, gamma) == pytest.approx(returns(episodes, gamma).mean(), abs=1e-12), name


@given(st.integers(0, 10_000))
def test_equal_policies_have_weights_of_exactly_1(seed: int) -> None:
    state, _, reward, real = walk(seed, patients=5)
    probability = np.where(real, np.random.default_rng(seed).uniform(0.01, 1.0, state.shape), 1.0)
    episodes = Episodes(reward, 2.0 * real, probability, probability, real, np.arange(5), np.ones(5, bool))
    assert (log_weights(episodes) == 0.0).all()


def test_discounts_go_by_hours_and_not_by_bins() -> None:
    """Twelve hours as twelve bins of one hour or three of four, each with what it earned by its own end."""
    rng, gamma = np.random.default_rng(0), 0.97
    reward = rng.normal(size=(4, 12))
    policy = np.ones((4, 12))
    fine = Episodes(reward, policy, policy, policy, policy > 0, np.arange(4), np.ones(4, bool))
    summed = (reward.reshape(4, 3, 4) * gamma ** np.arange(-3, 1)).sum(2)
    ones = policy[:, :3]
    coarse = Episodes(summed, 4 * ones, ones, ones, ones > 0, np.arange(4), np.ones(4, bool))
    for name in ("IS", "WIS", "PDIS", "CWPDIS"):
        assert value(name, coarse, gamma) == pytest.approx(value(name, fine, gamma), abs=1e-12)
    assert discounts(coarse, gamma)[0] == pytest.approx(gamma ** np.array([0.0, 4.0, 8.0, 12.0]))


def test_a_record_that_was_cut_goes_on_with_the_fitted_value_and_a_death_does_not() -> None:
    one = np.ones((1, 1))
    cut = Episodes(
        one, 2 * one, one, one, one > 0, np.zeros(1, int), np.array([False]), q=one, v=one, final=np.ones(1) * 8
    )
    for name in ("DR", "WDR"):
        assert value(name, cut, 0.5) == pytest.approx(1 + 0.5 - 1 + 0.25 * 8)
        assert value(name, cut._replace(terminated=np.array([True])), 0.5) == pytest.approx(0.5)
    assert value("IS", cut, 0.5) == 0.5


def test_five_hundred_steps_stay_finite() -> None:
    """Ratios up to 50 a step: the products reach 1e300 and beyond, and nothing may overflow or become nan."""
    rng = np.random.default_rng(1)
    shape = 30, 500
    behaviour, target = rng.uniform(0.02, 1.0, shape), rng.uniform(0.02, 1.0, shape)
    target[0], behaviour[0] = 1.0, 0.02
    target[1, 250:] = 0.0
    fitted = rng.normal(size=shape)
    episodes = Episodes(
        rng.normal(size=shape), np.ones(shape), behaviour, target, np.ones(shape, bool), np.arange(30),
        np.ones(30, bool), q=fitted, v=fitted, final=np.zeros(30), foreseen=fitted[:, 0],
    )  # fmt: skip
    episodes = episodes._replace(marginal=marginal.fit(episodes, np.zeros(shape, int), 1.0).direct)
    for name in ESTIMATORS:
        ratios = ESTIMATORS[name](episodes, 1.0, log_weights(episodes))
        assert np.isfinite(ratios.value()), name
        assert np.isfinite(np.square(ratios.influence())).all(), name


def test_weights_average_1_on_a_randomised_table() -> None:
    rng = np.random.default_rng(2)
    patients, steps, actions = 20_000, 3, 4
    behaviour, target = rng.dirichlet(np.full(actions, 5.0)), rng.dirichlet(np.full(actions, 5.0))
    action = rng.choice(actions, p=behaviour, size=(patients, steps))
    real = np.ones((patients, steps), bool)
    episodes = Episodes(
        real * 1.0, real * 1.0, behaviour[action], target[action], real, np.arange(patients), real[:, 0]
    )
    weight = np.exp(log_weights(episodes)[:, -1])
    assert abs(weight.mean() - 1.0) < 4 * weight.std() / np.sqrt(patients)


def test_cutting_weights() -> None:
    assert value("IS", chain("end", "two", "four"), level=2.0) == pytest.approx((16 / 15 * 1.5 + 2 * 2) / 3)
    episodes = chain("two")._replace(behaviour=np.array([[0.1, 1.0]]), target=np.array([[0.8, 0.25]]))
    assert np.exp(log_weights(episodes, 4.0)) == pytest.approx(np.array([[4.0, 2.0]]))
    with pytest.raises(ConfigError, match="above 0"):
        log_weights(episodes, 0.0)


def test_values_are_asked_for_by_name() -> None:
    with pytest.raises(ConfigError, match="fitted values"):
        value("DR", chain("end"))


def test_the_influence_function_is_the_derivative() -> None:
    """Raising the number of one episode by a millionth moves the estimate as its influence says."""
    episodes = chain("end", "two", "four", "two", "end", q=WRONG_Q, v=WRONG_V)
    for name in ESTIMATORS.keys() - APART.keys():
        estimator = ESTIMATORS[name]
        ratios = estimator(episodes, GAMMA, log_weights(episodes))
        influence, count, step = ratios.influence(), episodes.size, 1e-6
        assert influence.sum() == pytest.approx(0.0, abs=1e-9)
        for i in range(count):
            times = np.ones(count)
            times[i] += step
            moved = float(ratios.of(times @ ratios.numerator, times @ ratios.denominator))
            assert (moved - ratios.value()) / step * count == pytest.approx(influence[i], abs=1e-4), name


def test_the_blend_of_magic_has_the_least_error() -> None:
    """Three partial returns: one that is 5 off, and two right ones of variance 1 and 3, apart: three to one."""
    rng = np.random.default_rng(3)
    right, noisy = (noise - noise.mean() for noise in rng.normal(size=(2, 20_000)) * [[1.0], [np.sqrt(3.0)]])
    column = np.stack([np.full(20_000, 5.0), right - 5.0, noisy - right], 1)
    share = _blend(Ratios(column, np.ones_like(column)), np.triu(np.ones((3, 3))))
    assert share == pytest.approx([0.0, 0.75, 0.25], abs=0.01)


def test_magic_trusts_a_fit_that_the_records_bear_out_and_leaves_one_that_they_contradict() -> None:
    paths = np.random.default_rng(4).choice(["end", "two", "four"], 400, p=[0.5, 0.375, 0.125])
    good, bad = chain(*paths, q=Q_TRUE, v=V_TRUE), chain(*paths, q=Q_TRUE, v={1: 9.0, 2: 3.0})
    assert value("MAGIC", good) == pytest.approx(TRUE, abs=1e-9)
    assert value("DM", bad) == 9.0
    assert value("MAGIC", bad) == pytest.approx(value("WDR", bad), abs=0.05)
