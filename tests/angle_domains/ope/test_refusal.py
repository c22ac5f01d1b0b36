"""What is measured of the records, when a number is refused, and that a refusal cannot be talked away."""

import json

import numpy as np
import pytest

from angle_domains.errors import ConfigError
from angle_domains.ope.diagnostics import by_patient, calibrate, diagnose
from angle_domains.ope.episodes import Episodes
from angle_domains.ope.refusal import Limits, judge
from angle_domains.ope.value import OpeConfig, evaluate
from angle_domains.report.patients.chart import value_chart
from angle_domains.report.patients.shown import number, precise
from tests.angle_domains.ope.chains import GAMMA, Q_TRUE, V_TRUE, chain


def weighted_once(weights: np.ndarray, patient: np.ndarray | None = None) -> Episodes:
    """Episodes of one decision whose weights are given (at most 100) and whose reward is 1."""
    one = np.ones((len(weights), 1))
    who = np.arange(len(weights)) if patient is None else patient
    behaviour, target = 0.01 * one, np.asarray(weights, float)[:, None] * 0.01
    return Episodes(one, one, behaviour, target, one > 0, who, one[:, 0] > 0)


def fine(count: int = 200) -> Episodes:
    return weighted_once(np.ones(count))


def test_diagnostics_by_hand() -> None:
    found = diagnose(weighted_once(np.array([0.0, 1.0, 1.0, 2.0])))
    assert found.effective == pytest.approx(16 / 6)
    assert found.mean_weight == pytest.approx(1.0)
    assert found.top_share == pytest.approx(0.5)
    assert found.zero_share == 0.25
    assert found.rare_share == 0.0
    assert (found.patients, found.episodes, found.decisions) == (4, 4, 4)
    rare = weighted_once(np.ones(4))
    assert diagnose(rare._replace(behaviour=rare.behaviour / 2)).rare_share == 1.0


def test_patients_and_not_episodes_make_the_sample() -> None:
    """Two patients of two episodes each: at most two that are independent."""
    found = diagnose(weighted_once(np.array([1.0, 2.0, 3.0, 0.0]), np.array([7, 7, 3, 3])))
    assert found.effective == pytest.approx(2.0)
    assert found.top_share == pytest.approx(0.5)
    assert found.mean_weight == pytest.approx(1.5)
    assert np.exp(by_patient(np.log([[1.0], [2.0], [3.0]]), np.array([5, 1, 5]))) == pytest.approx(np.array([[2], [4]]))


def test_by_step_it_falls() -> None:
    found = diagnose(chain("end", "two", "four"))
    assert found.effective_by_step == pytest.approx(
        [3.6**2 / (0.16 + 2 * 2.56), 21.7777 / (0.16 + 1.13777 + 10.24)], rel=1e-3
    )
    assert found.effective == found.effective_by_step[-1]


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        (np.full(100, 0.6), "average"),
        (np.full(100, 1.5), "average"),
        (np.array([2.2] * 45 + [0.0] * 55), "no weight"),
        (np.ones(29), "effective"),
        (np.array([34.0] + [0.67] * 100), "one patient"),
    ],
)
def test_each_threshold_refuses_alone(weights: np.ndarray, reason: str) -> None:
    judged = judge(diagnose(weighted_once(weights)), Limits(effective=0.0) if reason == "one patient" else None)
    assert len(judged.reasons) == 1
    assert reason in judged.reasons[0]
    assert not judged.estimable


@pytest.mark.parametrize(
    ("weights", "warning"),
    [
        (np.full(100, 0.8), "average"),
        (np.full(100, 1.3), "average"),
        (np.array([1.5] * 66 + [0.0] * 34), "no weight"),
        (np.ones(50), "effective"),
    ],
)
def test_half_way_it_warns(weights: np.ndarray, warning: str) -> None:
    judged = judge(diagnose(weighted_once(weights)))
    assert judged.estimable
    assert len(judged.warnings) == 1
    assert warning in judged.warnings[0]


def test_what_is_fine_is_neither_refused_nor_warned_of() -> None:
    judged = judge(diagnose(fine()))
    assert judged.reasons == judged.warnings == ()


def test_a_refused_estimate_has_no_number_anywhere() -> None:
    for found in evaluate(weighted_once(np.ones(20)), 1.0, OpeConfig(draws=50)).values():
        assert found.refused
        assert found.value is found.interval is found.gain is found.standard_error is None
        assert found.words() == f"{found.estimator}: not estimable: the effective sample size is 20.0, below 30"
        assert json.loads(json.dumps(found.plain()))["value"] is None


def test_an_override_gives_the_number_and_keeps_the_mark() -> None:
    found = evaluate(weighted_once(np.ones(20)), 1.0, OpeConfig(draws=50, override=True))["WIS"]
    assert found.value == pytest.approx(1.0)
    assert found.overridden
    assert not found.refused
    assert "OVERRIDDEN" in found.words()
    assert found.plain()["overridden"]
    assert not evaluate(fine(), 1.0, OpeConfig(draws=50, override=True))["WIS"].overridden  # nothing was to override


def test_cutting_weights_does_not_talk_a_refusal_away() -> None:
    heavy = np.array([90.0] + [0.5] * 99)
    for cut in (None, 1.0):
        found = evaluate(weighted_once(heavy), 1.0, OpeConfig(draws=50, cut=cut))
        assert all(one.refused for one in found.values())


def test_a_cut_is_reported_with_its_bias() -> None:
    weights = np.array([4.0] * 10 + [0.7] * 90)
    found = evaluate(weighted_once(weights), 1.0, OpeConfig(draws=50, cut=2.0))["IS"]
    cut = found.truncation
    assert cut is not None
    assert (cut.level, cut.share) == (2.0, 0.1)
    assert cut.bias == pytest.approx(-0.2)  # ten of a hundred lose 2 each
    assert cut.lost == pytest.approx(1.0 - 0.83)
    assert "moved by -0.2" in cut.words()


def test_no_weight_at_all_is_no_estimate_even_when_overridden() -> None:
    found = evaluate(weighted_once(np.zeros(50)), 1.0, OpeConfig(draws=50, override=True))
    assert found["WIS"].value is None
    assert "no estimate" in found["WIS"].words()
    assert found["WIS"].diagnostics.top_share == 1.0


def test_estimates_come_with_intervals_gains_and_assumptions() -> None:
    paths = np.random.default_rng(0).choice(["end", "two", "four"], 300, p=[0.5, 0.375, 0.125])
    episodes = chain(*paths, q=Q_TRUE, v=V_TRUE)
    found = evaluate(episodes, GAMMA, OpeConfig(draws=200))
    assert list(found) == ["IS", "WIS", "PDIS", "CWPDIS", "DM", "DR", "WDR", "MAGIC"]
    wis = found["WIS"]
    assert wis.value is not None
    assert wis.interval is not None
    assert wis.gain is not None
    assert wis.interval.low < wis.value < wis.interval.high
    assert (
        wis.gain.low < 1.4 - 0.8125 < wis.gain.high
    )  # the clinicians' own policy is worth .5 · (1 + .25 · 2.5) = .8125
    assert any("positivity" in told for told in wis.assumptions)
    assert any("Markov" in told for told in found["DM"].assumptions)
    assert not any("Markov" in told for told in wis.assumptions)
    cut = evaluate(episodes._replace(terminated=np.zeros(300, bool)), GAMMA, OpeConfig(draws=20, estimators=("WIS",)))
    assert any("record was cut" in told for told in cut["WIS"].assumptions)
    assert any("stop before their end" in told for told in cut["WIS"].judgement.warnings)


def test_a_direct_estimate_whose_error_is_unknown_has_no_interval() -> None:
    episodes = chain(*["end"] * 40, *["two"] * 40, q=Q_TRUE, v=V_TRUE)
    bare = evaluate(episodes, GAMMA, OpeConfig(draws=20, estimators=("DM",)))["DM"]
    assert bare.value == pytest.approx(1.4)
    assert bare.interval is None
    assert "no interval" in bare.words()
    spread = episodes._replace(direct=np.linspace(0.4, 2.4, 80))
    known = evaluate(spread, GAMMA, OpeConfig(draws=20, estimators=("DM", "MAGIC")))
    assert known["DM"].interval is not None
    assert known["MAGIC"].value is not None
    assert known["MAGIC"].interval is known["MAGIC"].standard_error is None  # it leans on the fit all the same


def test_estimators_that_there_are_not() -> None:
    with pytest.raises(ConfigError, match="did you mean 'WIS'"):
        evaluate(fine(), 1.0, OpeConfig(estimators=("WISS",)))
    with pytest.raises(ConfigError, match="fitted values"):
        evaluate(fine(), 1.0, OpeConfig(estimators=("DR",)))


def test_calibration_by_hand() -> None:
    probability = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    found = calibrate(probability, np.array([0, 1, 1, 1]))
    assert found.error == pytest.approx(0.5 * 0.4 + 0.5 * 0.4)  # .9 sure and right half the time; .6 sure, always right
    assert found.log_loss == pytest.approx(-np.log([0.9, 0.1, 0.6, 0.6]).mean())


def test_numbers_that_ran_away_are_not_printed() -> None:
    """Two hundred decisions, each twice as likely under the target: weights of 2 to the 200th."""
    ones = np.ones((40, 200))
    episodes = Episodes(ones, ones, 0.5 * ones, ones, ones > 0, np.arange(40), np.ones(40, bool))
    refused = evaluate(episodes, 1.0, OpeConfig(draws=20, estimators=("IS",)))["IS"]
    shown = evaluate(episodes, 1.0, OpeConfig(draws=20, estimators=("IS",), override=True))["IS"]
    assert "weights average beyond 1e6" in refused.words()
    assert shown.words().startswith("IS: beyond 1e6 [beyond 1e6, beyond 1e6]")
    assert "mean beyond 1e6" in shown.diagnostics.lines()[1]
    assert precise(shown.value, shown.standard_error) == number(shown.value) == "beyond 1e6"
    assert (number(-1e7), precise(-1e7)) == ("beyond -1e6", "beyond -1e6")
    assert value_chart({"IS": shown}, 1.0, None) == ""
    for line in (refused.words(), shown.words(), *shown.diagnostics.lines()):
        assert "e+" not in line
