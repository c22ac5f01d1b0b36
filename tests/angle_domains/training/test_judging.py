"""Choosing among runs, refusals that are overridden, and which checkpoint is kept where nothing can be said."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from angle_domains.errors import ConfigError
from angle_domains.evaluation import Verdict
from angle_domains.runs import RunFolder
from angle_domains.training import evaluate, select_run, train
from angle_domains.training.judging import _opened, check_alike
from angle_domains.training.trainer import Progress
from tests.angle_domains.training.test_records import configure
from tests.angle_domains.training.worlds import Lines, the_run


def look(score: float, *, ranked: bool = True, by: str = "DR on the validation part") -> Verdict:
    return Verdict("validation", score, {}, (), ranked=ranked, by=by)


def test_a_refused_number_never_steers() -> None:
    progress = Progress()
    looks = [
        (10, look(9.0, ranked=False, by="too few")),
        (20, look(0.5)),
        (30, look(8.0, ranked=False)),
        (40, look(0.4)),
    ]
    assert [progress.judged(verdict, step) for step, verdict in looks] == [True, True, False, False]
    assert (progress.best_step, progress.best_score) == (20, 0.5)
    assert progress.curve == [(20, 0.5), (40, 0.4)]
    assert progress.words == "step 20, best of 4 looks by DR on the validation part, 2 of them not estimable"


def test_where_nothing_is_estimable_the_last_checkpoint_is_kept() -> None:
    progress = Progress()
    assert all(progress.judged(look(-float(step), ranked=False, by="no weight"), step) for step in (10, 20, 30))
    assert progress.words == "step 30, the last: none of 3 looks gave an estimate (no weight)"
    assert progress.best_score == -math.inf
    other = Progress()
    assert other.judged(look(0.1, by=""), 1)
    assert other.words == ""


# Enough of each part die for their number to be told; else all that follows from it is withheld.
STAYS = ("feed.patients=500", "training.judging.rollouts=0", "training.judging.fqe_updates=60")


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs on the same records; the clone of what clinicians did is estimable."""
    root = tmp_path_factory.mktemp("runs")
    for name, agent, more in (("clone", "bc", ()), ("other", "bc", ("seed=1",)), ("bold", "cql", ("agent.alpha=0",))):
        more = (*more, "training.evaluate_every=150")
        config = configure(agent, f"name={name}", "tracking.uri=null", *STAYS, *more, steps=150)
        train(config, console=Lines(), root=root)
    return root


def test_validation_chooses_and_the_test_patients_are_opened_for_the_chosen_alone(ward: Path) -> None:
    def openings() -> list[int]:
        return [len(RunFolder(ward / name).note()["test_opened"]) for name in ("clone", "other", "bold")]

    before = openings()
    found = select_run(["clone", "other", "bold"], lambda name: evaluate(name, root=ward), root=ward)
    told = [line for result in found for line in result.lines]
    (chosen,) = (line for line in told if line.startswith("selection on the validation patients: "))
    if "none of 3" in chosen:  # then nobody was opened
        assert openings() == before
        assert told[-1] == "the test patients stay closed"
        return
    assert "best of 3" in chosen
    assert chosen.endswith("they were opened before for clone, other, bold")
    name = chosen.split(": ")[1]
    opened = [after - now for after, now in zip(openings(), before, strict=True)]
    assert sum(opened) == 1
    assert opened[["clone", "other", "bold"].index(name)] == 1
    assert any(line.startswith("selection: ") and "best of 3" in line for line in told)
    assert any(line.startswith("test patients were opened ") for line in told)
    run = the_run(ward, name)
    assert run.data.metrics["test/selected_from"] == 3
    assert run.data.metrics["test/openings"] == 2
    assert "best of 3" in run.data.tags["angle.selection"]


@pytest.mark.parametrize(
    "setting", ["feed.policy=quarantine", "feed.actions.timing=next_row", "training.judging.cut=5.0"]
)
def test_policies_that_are_judged_otherwise_do_not_compare(setting: str) -> None:
    configs = {"a": configure("bc", *STAYS), "b": configure("bc", *STAYS, setting)}
    with pytest.raises(ConfigError, match=f"{setting.split('=')[0].removesuffix('.cut').removesuffix('.timing')} of b"):
        check_alike(configs)
    check_alike({"a": configs["a"], "c": configure("cql", *STAYS, "seed=4")})


def test_whose_test_patients_were_seen_before_is_told() -> None:
    opened: Any = SimpleNamespace(note=lambda: {"test_opened": ["yesterday"]})
    closed: Any = SimpleNamespace(note=dict)
    assert _opened({"a": closed, "b": closed}) == ""
    assert _opened({"a": closed, "b": opened}).endswith("they were opened before for b")


def test_what_does_not_compare_is_not_selected_among(ward: Path) -> None:
    with pytest.raises(ConfigError, match="name two or more"):
        select_run(["clone", "clone"], lambda name: [], root=ward)
    train(configure("bc", "name=paid", *STAYS, "feed.reward.kind=mortality", steps=100), console=Lines(), root=ward)
    with pytest.raises(ConfigError, match="feed.reward of paid differs from that of clone"):
        select_run(["clone", "paid"], lambda name: [], root=ward)


def test_an_overridden_number_is_marked_wherever_it_stands(ward: Path) -> None:
    [plain] = evaluate("bold", root=ward)
    assert plain.metrics["refused"] == 1.0, plain.lines
    assert "ope.overridden" not in the_run(ward, "bold").data.tags
    [shown] = evaluate("bold", override=True, root=ward)
    assert "wis" not in shown.metrics
    assert shown.metrics["overridden"] == 1.0
    assert "overridden_is" in shown.metrics
    assert not {"is", "dr", "dm"} & set(shown.metrics)
    assert any("OVERRIDDEN, not estimable" in line for line in shown.lines)
    assert shown.report is not None
    assert "should have been refused" in shown.report.read_text()
    run = the_run(ward, "bold")
    assert run.data.tags["ope.overridden"] == "true"
    assert run.data.metrics["test/overridden_is"] == pytest.approx(shown.metrics["overridden_is"])
    assert not {"test/wis", "test/is"} & set(run.data.metrics)
    evaluate("bold", root=ward)  # a later look takes nothing back
    assert the_run(ward, "bold").data.tags["ope.overridden"] == "true"


def test_settings_of_judging_alone_can_change(ward: Path) -> None:
    [found] = evaluate("clone", split="validation", overrides=["training.judging.behaviour.kind=boosting"], root=ward)
    assert found.report is not None
    with pytest.raises(ConfigError, match="--set seed: a run that has ended keeps its settings"):
        evaluate("clone", overrides=["seed=3"], root=ward)


def test_the_checkpoint_that_was_kept_is_told(ward: Path) -> None:
    run: Any = the_run(ward, "bold")
    assert run.data.tags["angle.checkpoint"].startswith("step 150, the last: none of 1 looks gave an estimate (")


def test_a_sweep_leaves_the_test_patients_closed_until_one_of_its_runs_is_selected(tmp_path: Path) -> None:
    records = ("feed.path=icu-sepsis-log", "feed.patients=1500", "feed.actions.codec=auto", "feed.actions.columns=[]")
    config = configure("bc", "name=swept", "tracking.uri=null", *records, *STAYS[1:], steps=300)
    *results, told = train(config, sweep=["agent.learning_rate=3e-3,1e-2"], console=Lines(), root=tmp_path)
    folders = [RunFolder(tmp_path / f"swept-learning_rate-{rate}") for rate in ("3e-3", "1e-2")]
    assert [result.name for result in results] == [folder.name for folder in folders]
    for result, folder in zip(results, folders, strict=True):
        assert result.report == folder.path / "report-validation.html"
        assert f"test part: closed until `angle-domains evaluate {folder.name}` opens it" in result.lines
        assert not folder.note().get("test_opened")
        found = the_run(tmp_path, folder.name).data.metrics
        assert found["test/openings"] == 0
        assert found["validation/wis"] == pytest.approx(result.metrics["wis"])
    assert told.lines[-1].endswith("angle-domains evaluate swept --select")
    selected, judged = select_run(["swept"], lambda name: evaluate(name, root=tmp_path), root=tmp_path)
    assert "best of 2" in selected.lines[-1]
    assert "not unseen" not in selected.lines[-1]
    assert sum(len(folder.note().get("test_opened", ())) for folder in folders) == 1
    run = the_run(tmp_path, judged.name)
    assert run.data.metrics["test/openings"] == 1
    assert run.data.metrics["test/selected_from"] == 2


def test_a_sweep_opens_the_test_patients_where_its_settings_say_so(tmp_path: Path) -> None:
    config = configure("bc", "name=open", *STAYS[1:], "training.test=at_end", steps=50)
    train(config, sweep=["agent.learning_rate=1e-3,1e-2"], console=Lines(), root=tmp_path)
    assert [len(RunFolder(path.parent).note()["test_opened"]) for path in tmp_path.glob("open-*/run.json")] == [1, 1]
    [closed] = train(
        configure("bc", "name=shut", *STAYS[1:], "training.test=never", steps=50), console=Lines(), root=tmp_path
    )
    assert closed.report == tmp_path / "shut" / "report-validation.html"
    assert "test_opened" not in RunFolder(tmp_path / "shut").note()
