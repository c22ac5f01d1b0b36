"""Adapting to what was never seen: tasks that overlap nowhere, errors by hand, and a verdict that knows its limits."""

from pathlib import Path

import numpy as np
import pytest
import torch

from angle_domains.errors import ConfigError
from angle_domains.interval import Interval
from angle_domains.outlook.adapting import Curve, Point, _by_episode, _by_row, _scratch, adapt, parse_support
from angle_domains.outlook.walk import Walk
from angle_domains.report.adaptation import write_adaptation
from metalearn.settings import ForecastConfig, InnerConfig, MetaLearningConfig, RiskConfig
from metalearn.states import States
from metalearn.tasks import Examples
from metalearn.trainer import MetaLearnerTrainer

CONFIG = MetaLearningConfig(
    on=True, forecast=ForecastConfig(length=3, horizons=(1,)), risk=RiskConfig(event="end"), support=12, query=8,
    adaptation=InnerConfig(hidden=(16,)), adaptations=60,
)  # fmt: skip


def swings(seed: int, episodes: int = 40, rows: int = 60) -> Walk:
    """Each episode swings about its own mean at its own pace, which a few rows tell."""
    made = np.random.default_rng(seed)
    parts = []
    for _ in range(episodes):
        pull, mean = made.uniform(0.3, 0.9), made.normal(0.0, 2.0)
        value = [mean + made.normal()]
        for _ in range(rows - 1):
            value.append(value[-1] + pull * (mean - value[-1]) + 0.3 * made.normal())
        parts.append(np.array(value))
    observation = torch.tensor(np.concatenate(parts), dtype=torch.float32).unsqueeze(1)
    first = torch.zeros(len(observation), dtype=torch.bool)
    first[::rows] = True
    states = States.whole(observation, first)
    when = np.tile(np.arange(rows, dtype=np.float64), episodes)
    return Walk(states, ("value",), when)


def trained() -> MetaLearnerTrainer:
    trainer = MetaLearnerTrainer(CONFIG, 1, seed=0)
    for seed in range(8):
        trainer.update(seed, swings(seed).states, None)
    return trainer


def test_it_adapts_where_there_is_something_to_adapt_to() -> None:
    curve = adapt(trained(), swings(99), parse_support("24"))
    assert curve.tasks == 40
    assert [point.rows for point in curve.points] == [0, 3, 6, 12, 24]
    before, after = curve.points[0].learned, curve.points[-1].learned
    assert after.high < 0.9
    assert after.estimate < before.estimate
    few = curve.points[3]
    assert few.learned.high < few.scratch.estimate, "what was learned from other tasks helps with twelve rows"
    assert curve.points[0].scratch.estimate == pytest.approx(1.0)
    assert curve.sentence.startswith("it adapts: after 24 rows")


def test_white_noise_shows_no_skill_beyond_its_mean() -> None:
    walk = swings(5)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(walk.states.rows, 1, generator=generator).cumsum(0)  # a walk at random: its changes are noise
    curve = adapt(trained(), walk._replace(states=walk.states._replace(observation=noise)), parse_support("24"))
    assert curve.sentence.startswith("no skill")


def test_tasks_overlap_nowhere_and_keep_their_embargo() -> None:
    trainer = MetaLearnerTrainer(CONFIG, 1, seed=0)
    found = _by_row(trainer, swings(0, episodes=3, rows=100), parse_support("10"), None)
    seen: set[int] = set()
    for rows, asked in found:
        assert int(asked[0]) - int(rows[-1]) - 1 == trainer.sampler.embargo
        assert int(rows[0]) // 100 == int(asked[-1] + trainer.sampler.horizon) // 100, "one episode"
        assert not seen & set(rows.tolist() + asked.tolist())
        seen |= set(rows.tolist() + asked.tolist())
    assert len(found) == 9, "26 rows each: three fit in 100"
    patients = _by_episode(swings(0, episodes=25, rows=10), parse_support("5e"))
    used = [set((rows // 10).tolist()) for pair in patients for rows in pair]
    assert len(patients) == 2
    assert len(set.union(*used)) == sum(map(len, used)) == 20


def test_time_is_told_in_words() -> None:
    assert adapt(trained(), swings(99), parse_support("24h")).unit == "hours"


def test_time_is_measured_by_the_clock() -> None:
    trainer = MetaLearnerTrainer(CONFIG, 1, seed=0)
    hours = _by_row(trainer, swings(0, episodes=1), parse_support("6h"), None)
    assert len(hours[0][0]) == 6
    walk = swings(0, episodes=1)
    days = np.datetime64("2020-01-01") + np.arange(60).astype("timedelta64[D]") * 2
    assert len(_by_row(trainer, walk._replace(when=days), parse_support("10d"), None)[0][0]) == 5


def test_ridge_from_nothing_by_hand() -> None:
    x, y = torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[1.0], [3.0]]])
    # (X'X + 10 I) w = X'y with a column of ones: [[15, 3], [3, 12]] w = [7, 4]
    slope, shift = np.linalg.solve([[15.0, 3.0], [3.0, 12.0]], [7.0, 4.0])
    assert float(_scratch(Examples.whole(x, y), torch.tensor([[[4.0]]]))) == pytest.approx(4 * slope + shift, rel=1e-5)
    nothing = Examples.whole(x[:, :0], y[:, :0])
    assert float(_scratch(nothing, torch.tensor([[[4.0]]]))) == 0.0


@pytest.mark.parametrize("text", ["", "0", "-3", "5x", "d", "1.5.2"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="write rows as 24"):
        parse_support(text)


def test_too_few_tasks_say_nothing() -> None:
    good = Interval(0.5, 0.4, 0.6, 1.0)
    point = Point(4, good, good)
    assert "too few to say" in Curve("rows", (0.0, 4.0), (point, point), 7).sentence
    assert "it adapts" in Curve("rows", (0.0, 4.0), (point, point), 8).sentence
    with pytest.raises(ConfigError, match="hold no task of that size"):
        adapt(trained(), swings(0, episodes=1, rows=20), parse_support("24"))


def test_a_learner_that_met_too_few_tasks_gives_way_to_ridge(tmp_path: Path) -> None:
    trainer = MetaLearnerTrainer(CONFIG, 1, seed=0)
    assert trainer.update(0, swings(0, episodes=2).states, None)["meta/tasks"] < 8
    curve = adapt(trainer, swings(99), parse_support("24"))
    assert curve.untaught
    assert [point.learned for point in curve.points] == [point.scratch for point in curve.points]
    assert "ridge regression adapts in its stead" in curve.sentence
    page = write_adaptation(curve, tmp_path / "page.html", "run", "classic").read_text()
    assert "learned prior" not in page
    assert not adapt(trained(), swings(99), parse_support("24")).untaught


@pytest.mark.parametrize(("feed", "said"), [("clinical", 1), ("icu-sepsis", 1), ("glucose", 1), ("market", 0)])
def test_a_page_about_patients_says_that_it_is_research(feed: str, said: int, tmp_path: Path) -> None:
    point = Point(8, Interval(0.8, 0.7, 0.9, 1.0), Interval(1.0, 0.9, 1.1, 0.5))
    page = write_adaptation(Curve("hours", (0.0, 24.0), (point, point), 40), tmp_path / "a.html", "a_run", feed)
    assert page.read_text().count("Research, not for care.") == said
