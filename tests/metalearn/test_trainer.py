"""When substrates are updated, by which names, and that all of it goes on to the bit."""

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
    trainer.update(100, lived(0), q)
    calm, wild = lived(1, rows=14, episodes=8), lived(1, rows=14, episodes=8, pull=0.5)
    wild = wild._replace(observation=wild.observation * torch.randn(112, 1, generator=torch.Generator().manual_seed(0)))
    raised = [trainer.watch(130 + step, calm if step < 50 else wild) for step in range(80)]
    assert raised.index(True) >= 50
    assert sum(raised) <= 3  # it rests in between
    trainer.updated = 209
    assert trainer.meta_learning_condition(210, 1e9)
    trainer.update(210, lived(0), q)
    assert not trainer.meta_learning_condition(211, 1e9)
    assert not made(drift="none").watch(1, wild)


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
    told = trainer.update_meta_learning_model(lived(0, rows=60, episodes=FEWEST_TASKS + 1), q)
    assert told["meta/tasks"] < FEWEST_TASKS
    assert "meta/loss" not in told
    assert all(torch.equal(*pair) for pair in zip(before, trainer.learner.parameters(), strict=True))
    told = trainer.update_meta_learning_model(lived(0, rows=60), q)
    assert {"meta/loss", "meta/error_against_last"} < set(told)


def test_a_trainer_goes_on_to_the_bit() -> None:
    straight, first, second = made(), made(), made()
    batches = [lived(seed, rows=60) for seed in range(4)]
    told = []
    for step, states in enumerate(batches):
        told.append(straight.update(100 * step, states, q))
        straight.watch(100 * step + 30, states)
    for step in range(2):
        first.update(100 * step, batches[step], q)
        first.watch(100 * step + 30, batches[step])
    second.load_state_dict(first.state_dict())
    for step in (2, 3):
        again = second.update(100 * step, batches[step], q)
        second.watch(100 * step + 30, batches[step])
        assert {k: v for k, v in again.items() if k != "meta/seconds"} == {
            k: v for k, v in told[step].items() if k != "meta/seconds"
        }
    assert second.drift is not None
    assert straight.drift is not None
    assert second.drift.state_dict() == straight.drift.state_dict()
    assert straight.drift.count == 4


def noted(ticks: int, streams: int = 2, rows: int = 400, *, dated: bool = False) -> Diary:
    """The second stream's first episode ends at its fourth row; a value is its tick, and ten thousand more there."""
    diary = Diary(rows=rows, streams=streams, entries=1)
    for tick in range(ticks):
        value = tick + 10_000.0 * torch.arange(streams)
        second = torch.arange(streams) == 1
        diary.append(
            value.unsqueeze(1),
            torch.arange(1.0, streams + 1.0),
            second & (tick == 4) | torch.full((streams,), tick == 0),
            second & (tick == 3),
            torch.where(second, 0, tick),
            moment=torch.full((streams,), 7) + tick if dated else None,
        )
    return diary


def test_a_diary_holds_the_last_rows_stream_after_stream() -> None:
    states = noted(202).states()
    assert len(noted(202)) == 400
    assert states.observation.squeeze(-1).tolist() == [*range(2, 202), *range(10_002, 10_202)]
    assert states.first.nonzero().squeeze(-1).tolist() == [0, 200, 202]
    assert states.terminated.nonzero().squeeze(-1).tolist() == [201]
    assert states.reward[[0, 1, 200, 201, 202]].tolist() == [0, 1, 0, 2, 0]
    assert states.elapsed[[0, 1, 200, 201, 202]].tolist() == [0, 1, 0, 1, 0]
    assert states.entity.unique(return_counts=True)[1].tolist() == [200, 2, 198]  # episodes
    assert states.action is not None
    assert states.action[[0, 199, 200]].tolist() == [2, 201, 0]
    assert states.moment is None
    moments = noted(202, dated=True).states().moment
    assert moments is not None
    assert moments.tolist() == [*range(9, 209)] * 2
    other = Diary(rows=400, streams=2, entries=1)
    other.load_state_dict(noted(202).state_dict())
    for one, two in zip(states, other.states(), strict=True):
        assert (one is two is None) or torch.equal(one, two)


def test_the_newest_ticks_alone_begin_episodes() -> None:
    states = noted(30).states(newest=3)
    assert states.observation.squeeze(-1).tolist() == [27, 28, 29, 10_027, 10_028, 10_029]
    assert states.first.tolist() == [True, False, False] * 2
    assert len(noted(2).states(newest=3).first) == 4


def test_of_many_streams_a_few_are_kept_long_enough() -> None:
    diary = noted(300, streams=50, rows=1_000)
    assert (diary.streams, diary.rows, len(diary)) == (5, 200, 1_000)
    assert diary.observation.shape == (200, 5, 1)
