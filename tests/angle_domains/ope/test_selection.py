"""The best of many null policies looks good; a selection says so, and the test patients are opened once."""

import numpy as np
import pytest

from angle_domains.errors import ConfigError
from angle_domains.ope.episodes import Episodes
from angle_domains.ope.estimators import weighted
from angle_domains.ope.selection import select
from angle_domains.ope.weights import log_weights

PATIENTS, STEPS, STATES, NULLS = 400, 1, 30, 500


def ward(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where what is done makes no difference: states, decisions at even odds, and a mean reward of 0."""
    rng = np.random.default_rng(seed)
    shape = PATIENTS, STEPS
    return rng.integers(STATES, size=shape), rng.integers(2, size=shape), rng.normal(size=shape)


def under(policy: np.ndarray, seed: int) -> Episodes:
    state, action, reward = ward(seed)
    real = np.ones(state.shape, bool)
    chance = policy[state]
    return Episodes(
        reward, real * 1.0, np.full(state.shape, 0.5), np.where(action == 1, chance, 1.0 - chance), real,
        np.arange(PATIENTS), real[:, 0],
    )  # fmt: skip


def nulls() -> dict[str, np.ndarray]:
    """Policies drawn at random: each is worth exactly 0, as any is."""
    rng = np.random.default_rng(7)
    return {f"policy {k}": rng.uniform(0.05, 0.95, STATES) for k in range(NULLS)}


def test_the_best_of_500_null_policies_is_luck() -> None:
    policies = nulls()
    chosen = select({name: under(policy, 1) for name, policy in policies.items()}, 1.0, draws=400)
    assert chosen.best is not None
    assert chosen.value is not None
    assert chosen.gain is not None
    assert chosen.gain_low is not None
    assert chosen.luck is not None
    alone = select({chosen.best: under(policies[chosen.best], 1)}, 1.0, draws=400)
    assert alone.gain == pytest.approx(chosen.gain)
    assert alone.gain_low is not None
    assert alone.gain_low > 0.0  # as if it were the only one: "surely better than the clinicians"
    assert chosen.gain_low < 0.0  # for all at once: not so
    assert chosen.luck > 0.5 * chosen.gain
    assert (chosen.count, chosen.refused) == (NULLS, 0)
    assert "best of 500" in chosen.words()
    fresh = [under(policies[chosen.best], seed) for seed in range(2, 22)]
    values = np.array([weighted(episodes, 1.0, log_weights(episodes)).value() for episodes in fresh])
    assert abs(values.mean()) < 3 * values.std(ddof=1) / np.sqrt(20)  # other patients show what it is worth


def test_one_policy_owes_nothing_to_luck() -> None:
    chosen = select({"only": under(np.full(STATES, 0.6), 1)}, 1.0, draws=400)
    assert chosen.luck == pytest.approx(0.0, abs=0.02)
    assert "the only one tried" in chosen.words()


def test_refused_policies_are_counted_and_not_chosen() -> None:
    far = under(np.ones(STATES), 1)._replace(reward=np.full((PATIENTS, STEPS), 9.0))
    chosen = select({"far": far, "near": under(np.full(STATES, 0.5), 1)}, 1.0, draws=50)
    assert (chosen.best, chosen.count, chosen.refused) == ("near", 2, 1)
    assert select({"far": far}, 1.0, draws=50).best is None
    assert select({"far": far}, 1.0, draws=50).words() == "none of 1 policies is estimable"


def test_policies_are_compared_on_the_same_patients() -> None:
    one = under(np.full(STATES, 0.5), 1)
    with pytest.raises(ConfigError, match="'b' is judged by other patients"):
        select({"a": one, "b": one._replace(patient=one.patient + 1)}, 1.0)
    with pytest.raises(ConfigError, match="no policy"):
        select({}, 1.0)
