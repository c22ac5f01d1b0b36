"""Agents beside patients who are made up: what they see, remember and draw."""

from typing import Any

import numpy as np
import pytest
import torch

from angle_domains.agents import agent57, ngu, rcql
from angle_domains.evaluation import Terms, Verdict
from angle_domains.evaluation.clinical import judge
from angle_domains.evaluation.cohort import intended
from angle_domains.evaluation.ward import Doctor, treated
from angle_domains.types import Decision, Percept
from feeds.clinical.border import read_records
from feeds.clinical.config import ClinicalConfig
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.synth_rollout import Ward
from feeds.clinical.synth_vaso import always, rollout, true_value

SETTINGS: dict[str, Any] = {
    "path": "synth-vaso",
    "patients": 200,
    "actions": {"codec": "binary", "columns": ["action_vaso"]},
    "states": {"masks": False, "since": False, "elapsed": False},
}


def feed() -> ClinicalFeed:
    return ClinicalFeed(ClinicalConfig.model_validate(SETTINGS))


class Sure:
    """Gives vasopressin always, or by a coin, and is sure of its worth."""

    def __init__(self, chance: float | None = None) -> None:
        self.chance = chance

    def act(self, percept: Percept, memory: Any, *, explore: bool) -> Decision:
        every = torch.ones(len(percept.obs), 2)
        if self.chance is None:
            return Decision(every[:, 0].long(), None, {"q": every * torch.tensor([1.0, 3.0])})
        return Decision(
            every[:, 0].long(), None, {"log_probs": every * torch.tensor([1 - self.chance, self.chance]).log()}
        )


class Recorded:
    """An agent, and the values it told."""

    def __init__(self, agent: Any) -> None:
        self.agent, self.told = agent, list[np.ndarray]()

    def act(self, percept: Percept, memory: Any, *, explore: bool) -> Decision:
        decision: Decision = self.agent.act(percept, memory, explore=explore)
        self.told.append(decision.extras["q"].numpy())
        return decision


def test_memories_run_along_with_each_patient() -> None:
    """What a recurrent agent held of everyone, hour by hour while others left, is what it holds of their records."""
    made = feed()
    agent = Recorded(rcql.build(rcql.RCQLConfig(), made.spec, streams=1, seed=0, device="cpu"))
    with torch.no_grad():
        agent.agent.online.advantage.layers[-1].weight.mul_(30.0)  # so that it is not of one mind
    ward = Ward(made, Doctor(agent))  # type: ignore[arg-type]
    table = rollout(ward, 30, seed=5)
    records, _ = read_records(made.config.model_copy(update={"roles": made.records.schema}), table)
    rows = made.rows_of(records)
    held = intended(agent.agent, rows, made.spec)
    order = np.lexsort((records.patient[records.stay], records.hours))
    decided = ~rows.last[order]
    told = np.concatenate(agent.told[: len(ward.shown)])
    assert len({int(action) for action in rows.action[~rows.last]}) == 2
    np.testing.assert_allclose(told[decided], held.q[order][decided], atol=1e-5)  # type: ignore[index]
    np.testing.assert_array_equal(rows.action[order][decided], held.action[order][decided])


@pytest.mark.parametrize(("module", "config"), [(ngu, ngu.NGUConfig), (agent57, agent57.Agent57Config)])
def test_memories_of_many_parts_run_along_too(module: Any, config: Any) -> None:
    made = feed()
    small = {"network": {"hidden": (8,), "recurrent": 8}, "head_hidden": (8,), "policies": 10}
    agent = module.build(config(**small), made.spec, streams=1, seed=0, device="cpu")
    ward = Ward(made, Doctor(agent))
    table = rollout(ward, 20, seed=5)
    lengths = table.group_by("stay_id").len()["len"]
    assert lengths.n_unique() > 1, "some leave before others"


def test_who_gives_it_always_has_the_value_of_the_model() -> None:
    found = treated(feed(), Sure(), patients=60)  # type: ignore[arg-type]
    assert found == pytest.approx(true_value(always(True), 60, 1_000_003))


def test_probabilities_are_drawn_by() -> None:
    doctor, obs = Doctor(Sure(0.3)), np.zeros((4_000, 1), np.float32)  # type: ignore[arg-type]
    assert doctor(obs, None, np.arange(4_000)).mean() == pytest.approx(0.3, abs=0.03)
    assert not doctor(obs, np.array([[True, False]] * 4_000), np.arange(4_000)).any()


def test_a_greedy_agent_that_is_valued_with_chance_decides_by_it_here_too() -> None:
    doctor, obs = Doctor(Sure(), 0.4), np.zeros((4_000, 1), np.float32)  # type: ignore[arg-type]
    assert doctor(obs, None, np.arange(4_000)).mean() == pytest.approx(0.8, abs=0.03)
    assert not doctor(obs, np.array([[True, False]] * 4_000), np.arange(4_000)).any()
    assert Doctor(Sure())(obs, None, np.arange(4_000)).all()  # type: ignore[arg-type]


def test_a_verdict_tells_the_columns_of_published_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vasopressin for everyone: shares by hand from the records, and the truth by treating patients."""
    monkeypatch.setattr("angle_domains.evaluation.ward.PATIENTS", 40)
    made = feed()
    verdict: Verdict = judge(made, Sure(), Terms("test"))  # type: ignore[arg-type]
    rows = made.episodes("test")
    given, patients = ~rows.last & (rows.action == 1), len(np.unique(rows.entity))
    found = verdict.metrics
    assert found["use_action_vaso"] == 1.0
    assert found["recorded_use_action_vaso"] == pytest.approx(len(np.unique(rows.entity[given])) / patients)
    assert found["concordance_action_vaso"] == pytest.approx(given.sum() / (~rows.last).sum())
    assert found["q_self_per_decision"] == 3.0
    assert found["q_self_gain"] == pytest.approx(2.0 * (1.0 - found["concordance_action_vaso"]))
    assert 0.0 < found["true_paid"] <= found["true_survival"] < 1.0
    assert any(line.startswith("truth of what is estimated: 0.") for line in verdict.lines)
    assert any(line.startswith("truth: 0.") and "made up" in line for line in verdict.lines)
    assert any(line.startswith("action_vaso: 100.0% of patients") for line in verdict.lines)


def test_shares_of_few_patients_are_not_told() -> None:
    """Four patients of the demonstration are a part: nobody is counted among them."""
    made = ClinicalFeed(ClinicalConfig.model_validate(SETTINGS | {"path": "mimic4demo-vaso", "patients": None}))
    found = judge(made, Sure(), Terms("test", full=True)).metrics  # type: ignore[arg-type]
    assert "concordance_action_vaso" in found
    assert not {"use_action_vaso", "recorded_use_action_vaso", "true_survival"} & set(found)
