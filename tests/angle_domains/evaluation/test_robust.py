"""How much estimates bear, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from angle_domains.evaluation import Terms
from angle_domains.evaluation.evidence import Propensities
from angle_domains.evaluation.foreseen import Foreseen
from angle_domains.evaluation.robust import confounded, guarantee
from angle_domains.interval import Interval
from angle_domains.ope.episodes import Episodes
from angle_domains.ope.settings import JudgingConfig
from angle_domains.ope.value import Estimate, OpeConfig, evaluate


def half_survive(*, ended: bool = True) -> Episodes:
    """Of 80 patients; those who live are a little likelier under the target."""
    alive, ends = np.arange(80) % 2 > 0, np.ones(80, bool)
    ends[0] = ended
    one = np.ones((80, 1))
    target = np.where(alive, 0.6, 0.4)[:, None]
    return Episodes(1.0 * alive[:, None], one, 0.5 * one, target, one > 0, np.arange(80), ends)


def wis(episodes: Episodes, cut: float | None = None) -> Estimate:
    return evaluate(episodes, 1.0, OpeConfig(estimators=("WIS",), draws=50, cut=cut))["WIS"]


def test_the_e_value_of_the_interval_is_that_of_the_paired_gain() -> None:
    """Half died. With a gain of .1 to .3 it were .8 or .4 times as many: nearer to 1 is .8, 1.25 + √(1.25 · .25)."""
    found = wis(half_survive())
    assert found.value == pytest.approx(0.6)
    wide = replace(found, interval=Interval(0.6, 0.3, 0.9, 1.0), gain=Interval(0.2, 0.1, 0.3, 1.0))
    told = confounded(half_survive(), wide, "survival")
    assert told is not None
    assert told.e_value == pytest.approx(1.25 + np.sqrt(1.25 * 0.25))
    assert told.e_limit == pytest.approx(1.25 + np.sqrt(1.25 * 0.25))
    none = confounded(half_survive(), replace(wide, gain=Interval(0.1, -0.1, 0.3, 0.9)), "survival")
    assert none is not None
    assert none.e_limit == 1.0


def test_what_a_factor_of_a_stay_is_for_each_of_its_decisions_is_told() -> None:
    """Stays of 4 decisions, at the first of which all chance lies: the fourth root of the factor for each of them."""
    short = half_survive()
    wide = [np.pad(getattr(short, name), ((0, 0), (0, 3))) for name in ("reward", "elapsed")]
    chances = [np.pad(getattr(short, name), ((0, 0), (0, 3)), constant_values=1.0) for name in ("behaviour", "target")]
    long = short._replace(
        reward=wide[0], elapsed=wide[1], behaviour=chances[0], target=chances[1], real=np.ones((80, 4), bool)
    )
    one, four = (confounded(episodes, wis(episodes), "survival") for episodes in (short, long))
    assert one is not None
    assert four is not None
    assert (one.decisions, four.decisions) == (1.0, 4.0)
    assert one.by_decision == one.tipping
    assert four.by_decision == pytest.approx(four.tipping**0.25)
    told = f"Γ^(1/T) a decision: {four.by_decision:.3g} for the median stay of 4 decisions; it is not Rosenbaum's"
    assert told in four.words()


def test_where_stays_were_cut_there_is_no_e_value() -> None:
    told = confounded(half_survive(ended=False), wis(half_survive(ended=False)), "survival")
    assert told is not None
    assert (told.e_value, told.e_limit) == (None, None)
    assert "no E-value: 1.2% of the stays were cut" in told.words()


def test_confounding_is_of_the_estimate_whose_weights_were_cut() -> None:
    episodes = half_survive()
    told = confounded(episodes, wis(episodes, 1.0), "survival", JudgingConfig(cut=1.0))
    assert told is not None
    mean = 1.0 / (1.0 + 0.8)  # weights of 1.2 and .8, cut at 1
    assert wis(episodes, 1.0).value == pytest.approx(mean)
    _, low, high = told.bounds[0]
    assert low < mean < high
    assert (low / (1 - low)) * (high / (1 - high)) == pytest.approx((mean / (1 - mean)) ** 2)  # as far either way


def test_a_guarantee_is_for_patients_who_chose_nothing() -> None:
    known = Propensities(None, None, "known")
    assert guarantee(half_survive(), known, "survival", Terms("test")).found is not None
    chosen = guarantee(half_survive(), known, "survival", Terms("validation"))
    assert chosen.words() == "lower bound: none, the policy was chosen by these patients"


def test_members_that_are_apart_on_the_policy_do_not_make_a_model_believed() -> None:
    base = Foreseen(np.zeros(3), (0.0, 1.0), 0.0, recorded=0.7, observed=0.5, error=0.01, spread=0.02)
    assert base.disagreement > 0.7
    assert not base.credible
    assert replace(base, spread=0.07).credible
