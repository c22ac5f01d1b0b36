"""When substrates are updated, by which names, and that all of it goes on to the bit."""

import pytest
import torch

from metalearn.diary import Diary
from metalearn.settings import MetaLearningConfig
from metalearn.trainer import FEWEST_TASKS, MetaLearnerTrainer
from tests.metalearn.test_substrates import lived, q

SMALL = MetaLearningConfig(
    warm_up=100,
    every=50,
    adaptations=2,
    forecast={"kind": "linear", "updates": 3},
    risk={"updates": 3, "drawdown": 4.0},  # type: ignore[arg-type]
)


def made(**settings: object) -> MetaLearnerTrainer:
    return MetaLearnerTrainer(SMALL.model_copy(update=settings), 3, seed=1)


def test_updates_are_due_after_the_warm_up_and_every_so_often() -> None:
    trainer = made()
    assert not trainer.meta_learning_condition(99, 1.0)
    assert trainer.meta_learning_condition(100, 1.0)
    trainer.updated = 100
    assert [trainer.meta_learning_condition(step, 1.0) for step in (149, 150)] == [False, True]


def test_the_budget_of_time_holds_updates_back() -> None:
    trainer = made()
    trainer.seconds = 3.0
    assert [trainer.meta_learning_condition(200, seconds) for seconds in (14.9, 15.1)] == [False, True]


def test_an_alarm_brings_an_update_forward_once() -> None:
    trainer = made()
    trainer.updated = 100
    raised = [trainer.watch(101 + step, 0.1 * (step % 2) + (5.0 if step >= 50 else 0.0)) for step in range(80)]
    assert raised.index(True) >= 50
    assert sum(raised) == 1
    trainer.updated = 179
    assert trainer.meta_learning_condition(180, 1.0)
    trainer.update(180, lived(0), q)
    assert not trainer.meta_learning_condition(181, 1e9)
    assert not made(drift="none").watch(1, 1e9)


def test_each_update_tells_metrics_under_its_own_names() -> None:
    trainer, states = made(), lived(0)
    for method, prefix in (
        (trainer.update_substrate_forecasting, "forecast/"),
        (trainer.update_substrate_model_clinical_forecasting, "forecast/"),
        (trainer.update_substrate_model_with_risk_detection, "risk/"),
        (trainer.update_meta_learning_model, "meta/"),
    ):
        metrics = method(states, q)
        assert metrics
        assert all(name.startswith(prefix) for name in metrics)


def test_too_few_tasks_teach_nothing_and_are_told() -> None:
    trainer = made()
    before = [weight.clone() for weight in trainer.learner.parameters()]
    told = trainer.update_meta_learning_model(lived(0, rows=60, episodes=FEWEST_TASKS - 1), q)
    assert told["meta/tasks"] < FEWEST_TASKS
    assert "meta/loss" not in told
    assert all(torch.equal(*pair) for pair in zip(before, trainer.learner.parameters(), strict=True))
    assert "meta/loss" in trainer.update_meta_learning_model(lived(0, rows=60), q)


def test_a_trainer_goes_on_to_the_bit() -> None:
    straight, first, second = made(), made(), made()
    batches = [lived(seed, rows=60) for seed in range(4)]
    told = [straight.update(100 * step, states, q) for step, states in enumerate(batches)]
    for step in range(2):
        first.update(100 * step, batches[step], q)
        first.watch(step, 1.0)
    second.load_state_dict(first.state_dict())
    for step in (2, 3):
        again = second.update(100 * step, batches[step], q)
        assert {k: v for k, v in again.items() if k != "meta/seconds"} == {
            k: v for k, v in told[step].items() if k != "meta/seconds"
        }
    assert second.drift is not None
    assert second.drift.count == 2


def test_a_diary_holds_the_last_rows_stream_after_stream() -> None:
    diary = Diary(rows=4, streams=2, entries=1)
    for tick in range(6):
        diary.append(
            torch.tensor([[float(tick)], [10.0 + tick]]),
            torch.tensor([1.0, 2.0]),
            torch.tensor([tick == 0, tick == 4]),
            torch.tensor([False, tick == 3]),
            torch.tensor([tick, 0]),
        )
    states = diary.states()
    assert states.observation.squeeze(-1).tolist() == [2, 3, 4, 5, 12, 13, 14, 15]
    assert states.first.tolist() == [True, False, False, False, True, False, True, False]
    assert states.reward.tolist() == [0, 1, 1, 1, 0, 2, 0, 2]
    assert states.elapsed.tolist() == [0, 1, 1, 1, 0, 1, 0, 1]
    assert states.terminated.tolist() == [False] * 5 + [True, False, False]
    assert states.entity.tolist() == [0] * 4 + [1] * 4
    assert states.action is not None
    assert states.action.tolist() == [2, 3, 4, 5, 0, 0, 0, 0]
    assert len(diary) == 8
    other = Diary(rows=4, streams=2, entries=1)
    other.load_state_dict(diary.state_dict())
    for one, two in zip(states, other.states(), strict=True):
        assert (one is two is None) or torch.equal(one, two)


@pytest.mark.parametrize("ticks", [1, 3])
def test_a_diary_that_is_not_full_gives_what_it_has(ticks: int) -> None:
    diary = Diary(rows=4, streams=2, entries=1)
    for _ in range(ticks):
        diary.append(
            torch.zeros(2, 1), torch.zeros(2), torch.zeros(2, dtype=torch.bool), torch.zeros(2, dtype=torch.bool), None
        )
    assert len(diary) == len(diary.states().first) == 2 * ticks
    assert diary.states().action is None
