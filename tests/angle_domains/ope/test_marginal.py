"""Weights of states: by hand, exact where nothing changes, and less spread than weights of histories."""

import numpy as np
import pytest

from angle_domains.errors import ConfigError
from angle_domains.ope import marginal
from angle_domains.ope.episodes import Episodes, from_rows, places
from angle_domains.ope.estimators import ESTIMATORS
from angle_domains.ope.process import best_policy, random_patients, sample, value
from angle_domains.ope.value import evaluate
from angle_domains.ope.weights import log_weights
from tests.angle_domains.ope.chains import GAMMA, PATHS, TRUE, every_path

PATH = ["end"] * 4 + ["two"] * 3 + ["four"]
STATE, ACTION = (np.array([PATHS[path][k] for path in PATH]) for k in (5, 6))


@pytest.mark.parametrize("form", ["state", "state_action"])
def test_the_chain_by_hand(form: marginal.Form) -> None:
    """Of eight, four go on to state 2, where the target is 1.6 times as often: (4 · 1.6 + 1.6 · .25 · 12) / 8."""
    found = marginal.fit(every_path(), STATE, GAMMA, action=ACTION, form=form)
    assert found.value == pytest.approx(TRUE)
    assert found.direct.mean() == pytest.approx(TRUE)
    assert found.largest == pytest.approx(1.6)
    assert found.effective == pytest.approx(4.0)  # the four in state 2 weigh alike
    assert (found.cut_share, found.bias) == (0.0, None)


def test_a_cut_says_what_it_moves() -> None:
    """At 1.2 the second half of the sum is three quarters of what it was: 4.8 becomes 3.6."""
    found = marginal.fit(every_path(), STATE, GAMMA, cut=1.2)
    assert found.value == pytest.approx((6.4 + 3.6) / 8)
    assert found.direct.mean() == pytest.approx(found.value)
    assert found.bias == pytest.approx(-1.2 / 8)
    assert found.cut_share == pytest.approx(4 / 12)
    with pytest.raises(ConfigError, match="above 0"):
        marginal.fit(every_path(), STATE, GAMMA, cut=0.0)
    with pytest.raises(ConfigError, match="need the actions"):
        marginal.fit(every_path(), STATE, GAMMA, form="state_action")


def walks(seed: int, mix: float = 0.3, patients: int = 400) -> tuple[Episodes, np.ndarray, float]:
    process = random_patients()
    target = (1.0 - mix) * process.behaviour + mix * best_policy(process, 1.0)
    rows = sample(process, process.behaviour, patients, np.random.default_rng(seed))
    at = places(rows)
    episodes = from_rows(rows, target[rows.observation[:, 0]])
    return episodes, at.padded(rows.observation[at.row, 0].astype(np.int64)), value(process, target, 1.0)


def test_under_the_same_policy_it_is_the_mean_return() -> None:
    episodes, state, _ = walks(0, mix=0.0)
    assert marginal.fit(episodes, state, 1.0).value == pytest.approx(episodes.reward.sum(1).mean(), abs=1e-12)


def test_it_errs_less_than_weights_of_histories_and_knows_how_much() -> None:
    off: dict[str, list[float]] = {"MIS": [], "IS": []}
    claimed = []
    for seed in range(25):
        episodes, state, truth = walks(seed, patients=250)
        found = marginal.fit(episodes, state, 1.0)
        claimed.append(found.direct.std(ddof=1) / np.sqrt(len(found.direct)))
        off["MIS"].append(found.value - truth)
        off["IS"].append(ESTIMATORS["IS"](episodes, 1.0, log_weights(episodes)).value() - truth)
    spread = {name: np.std(errors) for name, errors in off.items()}
    assert spread["MIS"] < 0.6 * spread["IS"]
    assert abs(np.mean(off["MIS"])) < 4 * spread["MIS"] / np.sqrt(25)
    assert np.mean(claimed) == pytest.approx(spread["MIS"], rel=0.35)


def test_it_stands_beside_the_others_where_it_was_found() -> None:
    episodes, state, _ = walks(1)
    assert "MIS" not in evaluate(episodes, 1.0)
    found = marginal.fit(episodes, state, 1.0)
    estimates = evaluate(episodes._replace(marginal=found.direct), 1.0, remarks={"MIS": ("by counting",)})
    assert estimates["MIS"].value == pytest.approx(found.value)
    assert estimates["MIS"].notes[-1:] == ("by counting",)
    assert any("Markov" in line for line in estimates["MIS"].assumptions)
