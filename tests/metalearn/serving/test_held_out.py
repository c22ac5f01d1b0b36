"""Advice on records by models that never saw those entities."""

import torch

from metalearn.serving.held_out import HeldOut
from metalearn.states import States
from tests.metalearn.serving.test_adviser import adviser, rows


def made(states: States, folds: int = 3, **serve: object) -> HeldOut:
    held_out = HeldOut(lambda: adviser(**serve), states, folds)
    held_out.update(states, None)
    return held_out


def test_no_entity_has_a_part_in_what_is_said_of_it() -> None:
    states = rows(0)
    one = made(states)
    before = one.advise(states)
    assert before.features.any()
    changed = states.entity == 7  # it ends elsewhere, and its waves are others
    other = states._replace(
        terminated=states.terminated & ~changed,
        observation=torch.where(changed.unsqueeze(1), states.observation.flip(0) * 3.0, states.observation),
    )
    again = made(other).advise(states)
    assert torch.equal(again.features[changed], before.features[changed])
    theirs = (one.fold != one.fold[changed][0]) & ~changed
    assert not torch.equal(again.features[theirs], before.features[theirs]), "of others it has"


def test_rows_stand_where_they_stood_and_each_is_told_by_the_models_of_its_fold() -> None:
    states = rows(1)
    one = made(states)
    told = one.advise(states)
    for fold, model in enumerate(one.advisers):
        alone = model.advise_record(states)
        torch.testing.assert_close(told.features[one.fold == fold], alone.features[one.fold == fold])
        torch.testing.assert_close(told.chance[one.fold == fold], alone.chance[one.fold == fold])
    shuffled = made(states, control="shuffled").advise(states)
    assert not torch.equal(shuffled.features, told.features)
    assert torch.equal(shuffled.features.sort(0).values, told.features.sort(0).values)


def test_with_fewer_entities_than_folds_each_is_one() -> None:
    states = rows(2)._replace(entity=rows(2).entity % 2)
    assert made(states).folds == 2
