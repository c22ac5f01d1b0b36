"""What a page tells of models: skill where there is some, none in noise, sections that can be drawn."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from angle_domains.outlook.foreseen import forecasts, write_forecasts, write_risks
from angle_domains.outlook.study import Study, _Compared, _risk, spoken_entries, study
from angle_domains.outlook.walk import Walk
from angle_domains.policy import load_policy
from angle_domains.report.outlook import foreseen
from angle_domains.tables import make_feed
from metalearn.trainer import MetaLearnerTrainer
from tests.angle_domains.outlook.test_adapting import CONFIG, swings
from tests.angle_domains.training.test_beside import settings, trained


def noise(seed: int) -> Walk:
    walk = swings(seed, episodes=60, rows=40)
    made = torch.randn(walk.states.rows, 1, generator=torch.Generator().manual_seed(seed))
    return walk._replace(states=walk.states._replace(observation=made))


def compared(learned: Any, judged: Walk) -> Any:
    trainer = MetaLearnerTrainer(CONFIG, 1, seed=0)
    for seed in range(4):
        trainer.update(seed, learned(seed).states, None)
    return _Compared(trainer, judged, forecasts(trainer, judged), None).group("value", [0], 0)


def test_skill_is_found_where_it_is_and_not_in_noise() -> None:
    found = compared(swings, swings(50, episodes=60))
    assert found.naive.found
    assert found.naive.better > 0.05
    assert 0.72 < found.coverage < 0.88
    nothing = compared(noise, noise(50))
    assert not nothing.naive.found
    assert nothing.naive.naive == "the mean of training", "the last value would be easily beaten"
    assert nothing.naive.better == pytest.approx(0.0, abs=0.03)


def test_order_lost_is_skill_lost() -> None:
    walk = swings(51, episodes=60)
    order = torch.randperm(walk.states.rows, generator=torch.Generator().manual_seed(0))
    shuffled = walk.states._replace(observation=walk.states.observation[order])
    found = compared(swings, walk._replace(states=shuffled))
    assert not found.naive.found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("runs") / "one"
    config = settings("ppo", **{"meta.on": True, "meta.risk.event": "end", "training.steps": 1_536})
    trained(config, folder)
    return folder, config


def test_a_run_is_studied_and_its_sections_are_written(run: tuple[Path, Any]) -> None:
    folder, config = run
    policy = load_policy(str(folder / "last"))
    found = study(config, make_feed("classic", config.feed), policy, "validation")
    assert isinstance(found, Study)
    assert found.episodes == 30
    assert {group.ahead for group in found.groups} == {1, 4}
    assert found.groups[0].ridge is not None, "networks are held against ridge regression"
    assert found.risk is not None
    assert {"forecast_skill", "forecast_coverage_80", "risk_auroc"} <= set(found.metrics)
    sections = foreseen(found)
    for section, name in zip(sections, ("forecasts", "risk", "served"), strict=True):
        assert f'id="{name}"' in section
        assert "nan" not in section.replace("finance", "")
        assert ">inf<" not in section


def test_few_events_judge_no_detector(run: tuple[Path, Any]) -> None:
    folder, config = run
    found = study(config, make_feed("classic", config.feed), load_policy(str(folder / "last")), "validation")
    assert found is not None
    assert found.risk is not None
    assert found.auroc is not None
    assert 0.0 <= found.auroc[0] < found.risk.measures.auroc < found.auroc[1] <= 1.0
    few = replace(found, risk=replace(found.risk, events=4))
    assert "4 events in" in foreseen(few)[1]
    assert "risk_auroc" not in few.metrics


def test_parquet_has_a_line_for_each_row_entry_and_horizon(run: tuple[Path, Any], tmp_path: Path) -> None:
    import polars as pl

    folder, _ = run
    trainer = load_policy(str(folder / "last")).beside
    assert trainer is not None
    made = torch.Generator().manual_seed(0)
    walk = swings(3, episodes=4, rows=12)
    states = walk.states._replace(
        observation=0.05 * torch.randn(48, 4, generator=made), seen=torch.ones(48, 4), action=torch.zeros(48).long(),
        terminated=walk.states.last,
    )  # fmt: skip
    walk = Walk(states, ("a", "b", "c", "d"), walk.when)
    assert write_forecasts(tmp_path / "f.parquet", trainer, walk) == 48 * 4 * 2
    table = pl.read_parquet(tmp_path / "f.parquet")
    assert len(table) == 48 * 4 * 2
    line = table.filter(episode=1, tick=5, entry="c", ahead=4)
    assert line["last"].item() == pytest.approx(float(states.observation[17, 2]), abs=1e-4)
    assert line["came"].item() == pytest.approx(float(states.observation[21, 2]), abs=1e-4)
    quantiles = line.select(pl.col("^q.*$")).to_numpy()[0]
    assert (np.diff(quantiles) >= 0).all()
    assert table.filter(pl.col("tick") == 11)["came"].is_null().all(), "nothing is known beyond an episode's end"
    assert write_risks(tmp_path / "r.parquet", trainer, walk) == 44
    risks = pl.read_parquet(tmp_path / "r.parquet")
    assert risks["chance"].is_between(0.0, 1.0).all()


def test_entries_that_say_the_same_stand_together() -> None:
    from tests.metalearn.serving.test_adviser import SPEC

    assert spoken_entries(SPEC) == {"assets a": [0, 2], "assets b": [1, 3]}


def test_an_entry_that_tells_events_all_by_itself_raises_the_alarm(run: tuple[Path, Any]) -> None:
    trainer, walk = MetaLearnerTrainer(CONFIG, 1, seed=0), swings(3)
    ends = walk.states.last
    soon = torch.stack([ends.roll(-step) for step in range(1, CONFIG.risk.horizon + 1)]).any(0)
    for seed in range(2):
        trainer.update(seed, swings(seed).states._replace(terminated=swings(seed).states.last), None)
    ended = walk._replace(states=walk.states._replace(terminated=ends))
    assert _risk(trainer, ended)[2] == {}, "what swings tells of no end"
    shifted = ended.states._replace(observation=soon[:, None].float())  # the label itself among the entries
    assert _risk(trainer, ended._replace(states=shifted))[2] == {"value": 1.0}
    folder, config = run
    found = study(config, make_feed("classic", config.feed), load_policy(str(folder / "last")), "validation")
    assert found is not None
    assert "Alarm: alone" not in foreseen(replace(found, telltales={}))[1]
    told = foreseen(replace(found, telltales={"<label>": 1.0}))[1]
    assert "&lt;label&gt; (1.000)" in told
    assert replace(found, telltales={"<label>": 1.0}).metrics["risk_telltales"] == 1.0
