"""Looking back row by row equals looking back in a record, to the bit, and knows nothing of what comes."""

import torch

from metalearn.serving.memory import Past, pasts
from metalearn.states import States

LENGTH = 4


def record(seed: int, rows: int = 40) -> States:
    made = torch.Generator().manual_seed(seed)
    first = torch.rand(rows, generator=made) < 0.15
    first[0] = True
    states = States.whole(torch.randn(rows, 3, generator=made), first)
    return states._replace(elapsed=torch.where(first, 0.0, torch.rand(rows, generator=made) + 0.5))


def walked(states: States) -> list[Past]:
    past, found = Past.blank(1, LENGTH, 3), []
    for row in range(states.rows):
        at = slice(row, row + 1)
        past = past.then(states.observation[at], states.first[at], states.elapsed[at])
        found.append(past)
    return found


def test_who_walks_sees_what_a_record_shows() -> None:
    states = record(0)
    whole = pasts(states, torch.arange(states.rows), LENGTH)
    for row, past in enumerate(walked(states)):
        for mine, theirs in zip(past, whole, strict=True):
            assert torch.equal(mine[0], theirs[row])


def test_what_comes_later_changes_nothing() -> None:
    states = record(1)
    changed = states.observation.clone()
    changed[20:] = 99.0
    before = pasts(states, torch.arange(20), LENGTH)
    after = pasts(states._replace(observation=changed), torch.arange(20), LENGTH)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_an_episode_forgets_the_one_before() -> None:
    past = Past.blank(2, 3, 1)
    past = past.then(torch.tensor([[1.0], [2.0]]), torch.tensor([True, True]), None)
    past = past.then(torch.tensor([[3.0], [4.0]]), torch.tensor([False, True]), None)
    assert past.observation.squeeze(-1).tolist() == [[0.0, 1.0, 3.0], [0.0, 0.0, 4.0]]
    assert past.seen.squeeze(-1).tolist() == [[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]
    assert past.elapsed.tolist() == [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
