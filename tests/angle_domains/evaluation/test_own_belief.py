"""What an agent believes of itself is never a value: however it boasts, nothing changes but what is called q_self."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from angle_domains.evaluation import Terms, Verdict
from angle_domains.evaluation.clinical import judge, under
from angle_domains.ope.selection import select
from angle_domains.ope.settings import JudgingConfig
from angle_domains.report import RunSummary
from angle_domains.report.clinical import sentence, standing, write_report
from angle_domains.report.patients.latex import write_tables
from angle_domains.report.patients.numbers import read_json
from angle_domains.run_table import CURVES, VALUE
from angle_domains.tracking.seeds import HEADLINES
from angle_domains.types import Decision, Percept
from feeds.clinical.feed import ClinicalFeed
from tests.feeds.clinical.tables import ROLES, table
from tests.feeds.clinical.tables import feed as clinical_feed

JUDGING = JudgingConfig(rollouts=0, draws=50, fqe_updates=60)
RUN = RunSummary(name="a_run", feed="clinical", agent="cql")
OWN = {"q_self", "q_self_per_decision", "q_self_gain"}


@cache
def feed() -> ClinicalFeed:
    """Stays of one decision: vasopressin for one in five, by chance alone."""
    frame = table(800).group_by("stay_id", maintain_order=True).head(2)
    given = np.random.default_rng(0).random(len(frame)) < 0.2
    frame = frame.with_columns(
        action_vaso=pl.Series(given.astype(int)), propensity=pl.Series(np.where(given, 0.2, 0.8))
    )
    return clinical_feed(
        frame,
        roles=ROLES | {"propensity": "propensity"},
        splits={"train_fraction": 0.2, "validation_fraction": 0.4},
        actions={"codec": "binary", "columns": ["action_vaso"]},
    )


class Boaster:
    """Gives nothing, or vasopressin where the pressure is `high`, and holds what it does worth twice its boast."""

    def __init__(self, boast: float, high: float = np.inf) -> None:
        self.boast, self.high = boast, high

    def act(self, percept: Percept, memory: Any, *, explore: bool) -> Decision:
        action = (percept.obs[:, 0] > self.high).long()
        return Decision(action, None, {"q": self.boast * (1.0 + torch.nn.functional.one_hot(action, 2))})


@cache
def verdict(boast: float) -> Verdict:
    return judge(feed(), Boaster(boast), Terms("test", judging=JUDGING))  # type: ignore[arg-type]


def test_of_all_metrics_only_those_that_say_so_hang_on_it() -> None:
    plain, loud = verdict(1.0), verdict(1e6)
    assert plain.metrics.keys() == loud.metrics.keys()
    moved = {key for key in plain.metrics if plain.metrics[key] != loud.metrics[key]}
    assert moved == OWN
    assert "wis" in plain.metrics
    assert (plain.score, plain.ranked, plain.by, plain.tags) == (loud.score, loud.ranked, loud.by, loud.tags)
    quick = [judge(feed(), Boaster(boast), Terms("validation", full=False)) for boast in (1.0, 1e6)]  # type: ignore[arg-type]
    assert (quick[0].score, quick[0].metrics, quick[0].lines) == (quick[1].score, quick[1].metrics, quick[1].lines)
    assert not OWN & quick[0].metrics.keys()


def test_no_headline_is_its_own_belief() -> None:
    assert not [key for key in (*HEADLINES, *CURVES, VALUE) if "q_self" in key]
    plain, loud = verdict(1.0).detail, verdict(1e6).detail
    assert plain.headline == loud.headline
    assert (standing(plain), sentence(plain)) == (standing(loud), sentence(loud))


def test_the_ranking_of_a_selection_never_sees_it() -> None:
    """Whoever believes more in itself, the choice and what is told of it are the same."""
    chosen = []
    for boasts in ((1.0, 1e6), (1e6, 1.0), (1.0, 1.0)):
        agents = {"a": Boaster(boasts[0]), "b": Boaster(boasts[1], high=1.0)}
        terms = Terms("validation", judging=JUDGING)
        policies = {name: under(feed(), agent, terms) for name, agent in agents.items()}  # type: ignore[arg-type]
        chosen.append(select(policies, 1.0, draws=50))
        assert all(each.q is None for each in policies.values())
    assert chosen[0] == chosen[1] == chosen[2]
    assert chosen[0].best is not None


@pytest.mark.parametrize("boast", [1.0, 1e6])
def test_tables_of_values_do_not_hold_it(boast: float, tmp_path: Path) -> None:
    told = []
    for at, each in enumerate((1.0, boast)):
        page = write_report(verdict(each), RUN, tmp_path / str(at) / "report.html").read_text()
        content = read_json(tmp_path / str(at) / "report.json")["value"]
        own = content.pop("q_self")
        assert own["note"] == "the agent's own belief, no estimate of its value"
        write_tables(tmp_path / str(at) / "report.json", tmp_path / str(at))
        table = page.split('<section id="value">')[1].split("</section>")[0]
        tex = (tmp_path / str(at) / "value.tex").read_text()
        for text in (table, tex):
            assert not re.search(r"q_self|belie|Delta Q|Q/t", text)
        drugs = {key: number for key, number in content.pop("drugs").items() if key not in OWN}
        told.append((table, tex, content, drugs))
    np.testing.assert_equal(told[0], told[1])
