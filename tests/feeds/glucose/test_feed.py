"""Virtual patients with diabetes: their own need keeps them where they are, none lets them rise, too much kills."""

import sys
from functools import cache
from importlib.util import find_spec

import numpy as np
import pytest

from feeds.errors import FeedError
from feeds.glucose.config import GlucoseConfig, knows, listing
from feeds.glucose.core import parts
from feeds.glucose.feed import LOWEST, GlucoseDay, GlucoseFeed, risk

needed = pytest.mark.skipif(find_spec("simglucose") is None, reason="simglucose is not installed")


def test_names() -> None:
    assert len(listing()) == 30
    assert knows("child#010")
    assert not knows("child#011")


def test_risk_by_hand() -> None:
    """Of 100 mg/dl: its logarithm 4.60517 to the power of 1.084 is 5.23537; less 5.381, by 1.509, squared, by 10."""
    assert risk(100.0) == pytest.approx(10 * (1.509 * (5.23537 - 5.381)) ** 2, abs=1e-3)
    assert risk(112.5) < 1e-3
    assert risk(50.0) > risk(80.0) > risk(112.5) < risk(180.0) < risk(300.0)


def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    parts.cache_clear()
    monkeypatch.setitem(sys.modules, "simglucose", None)
    with pytest.raises(FeedError, match=r"pip install --no-deps simglucose==0\.2\.11"):
        GlucoseFeed(GlucoseConfig())
    parts.cache_clear()


@cache
def day(rate: float, hours: int = 6) -> tuple[list[float], list[float], bool]:
    """True glucose and rewards of a patient under a constant rate, and whether it left the range of life."""
    game = GlucoseDay(GlucoseConfig(hours=hours, most=5.0 if rate <= 1 else 200.0))
    game.reset(seed=3)
    glucose, earned, over, cut = [], [], False, False
    while not over and not cut:
        seen, reward, over, cut, info = game.step([min(rate, 1.0)])
        assert game.observation_space.contains(seen)
        glucose.append(info["glucose"])
        earned.append(reward)
    assert cut != over
    return glucose, earned, over


@needed
def test_its_own_need_keeps_glucose_and_none_lets_it_rise() -> None:
    steady, rising = day(0.2, hours=4)[0], day(0.0, hours=4)[0]  # before the first meal; 0.2 of 5 times the need
    assert max(steady) - min(steady) < 5.0
    assert rising[-1] > rising[0] + 15.0


@needed
def test_who_leaves_the_range_of_life_pays_for_the_rest_of_the_day() -> None:
    glucose, earned, over = day(2.0)
    assert over
    assert glucose[-1] < LOWEST
    left = 6 * 20 - len(earned)
    assert earned[-1] == pytest.approx(-risk(LOWEST) * (1 + left) / 100, rel=1e-9)
    assert sum(earned) < sum(day(0.0)[1])


@needed
def test_a_seed_is_a_day_and_parts_have_their_own() -> None:
    feed = GlucoseFeed(GlucoseConfig(hours=1))
    tapes = []
    for split in ("train", "train", "test"):
        envs = feed.envs(2, split=split)
        first, _ = envs.reset(seed=4)
        tapes.append(np.stack([first, *(envs.step(np.full((2, 1), 0.2))[0] for _ in range(8))]))
    np.testing.assert_array_equal(tapes[0], tapes[1])
    assert (tapes[0] != tapes[2]).any()
    assert (tapes[0][:, 0] != tapes[0][:, 1]).any()


@needed
def test_the_package_as_others_know_it_is_untouched() -> None:
    GlucoseDay(GlucoseConfig())
    assert not [name for name in sys.modules if name.partition(".")[0] in ("simglucose", "gym")]


@needed
def test_a_patient_that_is_misspelled_is_told_the_nearest() -> None:
    with pytest.raises(FeedError, match="did you mean 'adult#001'"):
        GlucoseDay(GlucoseConfig(env="adullt#001"))
