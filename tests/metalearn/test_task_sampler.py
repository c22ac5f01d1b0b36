"""Tasks: query after support with an embargo between, entities apart."""

import torch

from metalearn.forecasting.histories import History
from metalearn.states import States
from metalearn.task_sampler import TaskSampler, described


def lived(episodes: int, rows: int) -> States:
    """Every value is its row's number over a thousand, so that rows can be told by them."""
    value = torch.arange(float(episodes * rows)).unsqueeze(1) / 1_000
    first = torch.zeros(episodes * rows, dtype=torch.bool)
    first[::rows] = True
    return States.whole(value, first)


def test_query_follows_support_after_the_embargo_and_within_the_entity() -> None:
    sampler, states = TaskSampler(length=3, horizon=2, support=4, query=3), lived(6, 40)
    assert sampler.span == 4 + 5 + 3
    rows = torch.ones(240, dtype=torch.bool)
    for seed in range(20):
        drawn = sampler.draw(states, torch.ones(1), rows, torch.Generator().manual_seed(seed))
        assert drawn is not None
        assert len(drawn.support.x) == 6
        # the level stands behind the three values of the history: the row at which a history ends
        ends = [(1_000 * part.x[..., 3]).round().long() for part in drawn]
        assert (
            ends[1].amin(1) - ends[0].amax(1) == 6
        ).all()  # histories of the query begin after futures of the support
        assert all((part // 40 == torch.arange(6).unsqueeze(1)).all() for part in ends)
        assert all((part.weight == 1).all() for part in drawn)


def test_a_batch_holds_no_more_tasks_than_it_may() -> None:
    sampler, states = TaskSampler(length=3, horizon=2, support=4, query=3), lived(100, 20)
    drawn = sampler.draw(states, torch.ones(1), torch.ones(2_000, dtype=torch.bool), torch.Generator().manual_seed(0))
    assert drawn is not None
    assert len(drawn.support.x) == 64


def test_entities_that_lived_too_short_or_are_held_out_give_no_task() -> None:
    sampler, states = TaskSampler(length=3, horizon=2, support=4, query=3), lived(6, 40)
    rows = (states.entity % 2 == 0).clone()
    drawn = sampler.draw(states, torch.ones(1), rows, torch.Generator().manual_seed(0))
    assert drawn is not None
    assert len(drawn.support.x) == 3
    assert sampler.draw(lived(6, 13), torch.ones(1), torch.ones(78, dtype=torch.bool), torch.Generator()) is None


def test_targets_are_movements_in_units_of_movement_and_gaps_have_no_weight() -> None:
    states = lived(1, 10)
    seen = states.seen.clone()
    seen[7] = 0.0
    sampler = TaskSampler(length=3, horizon=2, support=4, query=3)
    made = sampler.examples(states._replace(seen=seen), torch.ones(1), torch.tensor([[4, 5, 9]]))
    scale = ((2 * 0.001**2 + 5.0) / 7.0) ** 0.5
    torch.testing.assert_close(made.y[0, 0, 0], torch.tensor(0.002 / scale))
    assert made.weight.squeeze().tolist() == [1.0, 0.0, 0.0]  # row 7 was not seen, and nothing follows row 9


def test_a_history_as_numbers() -> None:
    history = History.whole(torch.tensor([[[1.0, 0.0], [3.0, 0.0]]]))
    scale = ((4.0 + 5.0) / 6.0) ** 0.5
    assert torch.allclose(described(history, torch.ones(2)), torch.tensor([[-2 / scale, 0, 0, 0, 3.0, 0, 0, 0]]))
