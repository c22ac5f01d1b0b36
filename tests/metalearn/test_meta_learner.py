"""Sinusoids from ten points, on a small budget; the whole protocol is `benchmarks/sinusoid.py`."""

import math

import pytest
import torch

from metalearn.meta_learner import MetaLearner
from metalearn.settings import InnerConfig
from metalearn.tasks import Examples, Tasks

WAYS = ["ridge", "maml", "fomaml", "anil", "reptile", "none"]


def sinusoids(tasks: int, shots: int, seed: int) -> Tasks:
    drawn = torch.Generator().manual_seed(seed)
    amplitude, phase = (
        0.1 + 4.9 * torch.rand(tasks, 1, 1, generator=drawn),
        math.pi * torch.rand(tasks, 1, 1, generator=drawn),
    )
    x = 10.0 * torch.rand(tasks, shots + 40, 1, generator=drawn) - 5.0
    y = amplitude * torch.sin(x + phase)
    return Tasks(Examples.whole(x[:, :shots], y[:, :shots]), Examples.whole(x[:, shots:], y[:, shots:]))


def learner(inner: str, seed: int = 0, **settings: object) -> MetaLearner:
    return MetaLearner(InnerConfig(inner=inner, **settings), 1, 1, torch.Generator().manual_seed(seed))  # type: ignore[arg-type]


def error(made: MetaLearner, tasks: Tasks, steps: int | None = None) -> float:
    return float(tasks.query.error(made.predict(tasks.query.x, made.adapt(tasks.support, steps=steps))).mean().detach())


def test_a_ridge_head_learns_sinusoids_from_ten_points() -> None:
    made = learner("ridge")
    held_out = sinusoids(200, 10, 999)
    before = error(made, held_out)
    for seed in range(400):
        made.learn(sinusoids(25, 10, seed))
    assert error(made, held_out) < 0.35 < 1.0 < before


@pytest.mark.parametrize("inner", WAYS)
def test_every_way_learns_and_none_runs_away(inner: str) -> None:
    made = learner(inner)
    held_out = sinusoids(100, 5, 999)  # fewer points than in training
    first = error(made, held_out)
    for seed in range(150):
        assert math.isfinite(made.learn(sinusoids(25, 10, seed))["loss"])
    assert error(made, held_out) < first
    assert error(made, held_out, steps=100) < 1.5 * first  # a hundred times the steps of training


def test_what_is_adapted_leaves_the_learner_as_it_is() -> None:
    for inner in WAYS:
        made = learner(inner)
        before = [weight.clone() for weight in made.parameters()]
        adapted = made.adapt(sinusoids(3, 10, 1).support, steps=4)
        assert not any(weight.requires_grad for weight in adapted)
        assert all(torch.equal(old, new) for old, new in zip(before, made.parameters(), strict=True))


@pytest.mark.parametrize("inner", WAYS)
def test_a_saved_learner_goes_on_to_the_bit(inner: str) -> None:
    straight, first = learner(inner), learner(inner)
    for seed in range(6):
        straight.learn(sinusoids(5, 10, seed))
    for seed in range(3):
        first.learn(sinusoids(5, 10, seed))
    second = learner(inner, seed=7)
    second.restore(first.state())
    for seed in range(3, 6):
        second.learn(sinusoids(5, 10, seed))
    assert all(torch.equal(*pair) for pair in zip(straight.parameters(), second.parameters(), strict=True))


def test_a_batch_that_is_not_finite_teaches_nothing() -> None:
    made, broken = learner("ridge"), sinusoids(5, 10, 0)
    before = [weight.clone() for weight in made.parameters()]
    made.learn(broken._replace(query=broken.query._replace(y=torch.full_like(broken.query.y, math.nan))))
    assert all(torch.equal(old, new) for old, new in zip(before, made.parameters(), strict=True))
