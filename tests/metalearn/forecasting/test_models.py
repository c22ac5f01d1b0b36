"""What every forecaster must be: blind to what was not seen, fit for vmap, and skilled where there is skill."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from feeds.synthetic.worlds import mean_reverting
from metalearn.forecasting.histories import Future, History, cut, typical_change
from metalearn.forecasting.models import DecayingGRU, Mixer, NLinear
from metalearn.forecasting.quantiles import LEVELS, MEDIAN, masked_mean, pinball
from metalearn.forecasting.ridge_anchor import RidgeAnchor

LENGTH, HORIZONS = 6, (1, 2)
NETWORKS: list[Callable[..., nn.Module]] = [NLinear, Mixer, DecayingGRU]


def made(kind: Callable[..., nn.Module], variables: int = 2, seed: int = 0) -> nn.Module:
    return kind(LENGTH, variables, len(HORIZONS), torch.Generator().manual_seed(seed))


def series(rows: int, seed: int, *, pull: float = 0.5, gaps: float = 0.2) -> tuple[History, Future]:
    """Two variables that return to their mean by `pull`, some of their values unseen."""
    drawn = torch.Generator().manual_seed(seed)
    noise = torch.randn(rows, 2, generator=drawn)
    value = noise.clone()
    for row in range(1, rows):
        if row % 50:  # each episode begins anew
            value[row] += (1.0 - pull) * value[row - 1]
    seen = (torch.rand(rows, 2, generator=drawn) >= gaps).float()
    first = torch.zeros(rows, dtype=torch.bool)
    first[::50] = True
    return cut(value * seen, seen, torch.ones(rows), first, length=LENGTH, horizons=HORIZONS)[:2]


@pytest.mark.parametrize("kind", NETWORKS)
def test_quantiles_are_ordered(kind: Callable[..., nn.Module]) -> None:
    forecaster, (history, _) = made(kind), series(100, 1, gaps=0.0)
    quantiles = forecaster(history)
    assert quantiles.shape == (len(history.value), 2, 2, len(LEVELS))
    assert (quantiles.diff(dim=-1) >= 0).all()


@pytest.mark.parametrize("kind", NETWORKS)
def test_many_sets_of_weights_at_once_give_what_each_gives(kind: Callable[..., nn.Module]) -> None:
    forecasters, (history, _) = [made(kind, seed=seed) for seed in range(3)], series(60, 2)
    weights, buffers = torch.func.stack_module_state(forecasters)
    together = torch.func.vmap(
        lambda own, rest: torch.func.functional_call(forecasters[0], (own, rest), (history,)), randomness="error"
    )(weights, buffers)
    for one, forecaster in zip(together, forecasters, strict=True):
        torch.testing.assert_close(one, forecaster(history), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", NETWORKS)
def test_networks_learn_to_beat_the_last_value(kind: Callable[..., nn.Module]) -> None:
    forecaster, (history, future) = made(kind), series(4_000, 3)
    optimizer = torch.optim.Adam(forecaster.parameters(), lr=1e-2)
    drawn = torch.Generator().manual_seed(0)
    for _ in range(120):
        some = torch.randint(len(history.value), (128,), generator=drawn)
        read, wanted = History(*(each[some] for each in history)), Future(*(each[some] for each in future))
        loss = masked_mean(pinball(forecaster(read), wanted.value), wanted.seen)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    later, came = series(800, 4)
    quantiles = forecaster(later)
    ours = masked_mean((quantiles[..., MEDIAN] - came.value).abs(), came.seen)
    last = masked_mean((later.last().unsqueeze(1) - came.value).abs(), came.seen)
    assert ours < 0.95 * last
    inside = ((came.value >= quantiles[..., 1]) & (came.value <= quantiles[..., -2])).float()
    assert 0.6 < masked_mean(inside, came.seen) < 0.92  # of the 80 % between the levels .1 and .9


def test_ridge_solves_the_normal_equations_and_starts_from_the_last_value() -> None:
    ridge, (history, future) = RidgeAnchor(LENGTH, 2, len(HORIZONS), penalty=3.0), series(400, 5)
    torch.testing.assert_close(ridge(history)[..., MEDIAN], history.last().unsqueeze(1).expand_as(future.value))
    for _ in range(2):  # the same batch again changes nothing
        ridge.update(history, future)
    variable, horizon = 1, 0
    kept = future.seen[:, horizon, variable] > 0
    scale = history.scale(torch.ones(2))
    past, level = history.relative(scale), (history.last().clamp(-3, 3) / scale)[kept, variable, None]
    columns = [past[kept, :, variable], 1.0 - history.seen[kept, :, variable], level, torch.ones_like(level)]
    rows = torch.cat(columns, -1).double()
    change = (future.value[:, horizon] - history.last()) / scale
    gram = rows.T @ rows + 3.0 * torch.eye(rows.shape[1], dtype=torch.float64)
    wanted = torch.linalg.solve(gram, rows.T @ change[kept, variable].double())
    torch.testing.assert_close(ridge.weights[variable, horizon], wanted, atol=1e-6, rtol=1e-5)


def test_ridge_beats_the_last_value_where_there_is_skill_and_nearly_equals_it_where_there_is_none() -> None:
    for pull, low, high in ((0.5, 0.0, 0.9), (0.0, 0.99, 1.03)):
        ridge = RidgeAnchor(LENGTH, 2, len(HORIZONS))
        ridge.update(*series(4_000, 6, pull=pull))
        later, came = series(2_000, 7, pull=pull)
        ours = masked_mean((ridge(later)[..., MEDIAN] - came.value).abs(), came.seen)
        last = masked_mean((later.last().unsqueeze(1) - came.value).abs(), came.seen)
        assert low < ours / last < high


def test_ridge_goes_on_to_the_bit_and_weighs_batches_by_a_running_mean() -> None:
    first, second = RidgeAnchor(LENGTH, 2, 2, fading=0.75), RidgeAnchor(LENGTH, 2, 2, fading=0.75)
    old, new = series(200, 8), series(200, 9)
    first.update(*old)
    second.load_state_dict(first.state_dict())
    first.update(*new)
    second.update(*new)
    assert torch.equal(first.weights, second.weights)
    fresh, whole = RidgeAnchor(LENGTH, 2, 2), RidgeAnchor(LENGTH, 2, 2)
    fresh.update(*new)
    whole.update(*old)
    torch.testing.assert_close(first.gram, 0.75 * whole.gram + 0.25 * fresh.gram)


@pytest.mark.parametrize("kind", [*NETWORKS, RidgeAnchor])
def test_what_was_carried_forward_is_read_only_where_nothing_was_seen(kind: Callable[..., nn.Module]) -> None:
    history, future = series(200, 10)
    if kind is RidgeAnchor:
        forecaster = RidgeAnchor(LENGTH, 2, 2)
        forecaster.update(history, future)
    else:
        forecaster = made(kind)
    unseen = (history.seen == 0) & (history.seen.sum(-2, keepdim=True) > 0)
    unseen[:, 0] = False  # what was known when the history began
    assert unseen.any()
    noisy = history._replace(value=torch.where(unseen, 1e3, history.value))
    torch.testing.assert_close(forecaster(noisy), forecaster(history))


@pytest.mark.parametrize("kind", ["ridge", "linear", "gru"])
def test_what_returns_tell_of_the_next_is_found_though_anchored_on_the_last(kind: str) -> None:
    """Of returns to a mean that nobody shows, 16 of them foresee a correlation of .26 with the next."""
    returns = torch.from_numpy(np.diff(mean_reverting(np.random.default_rng(3)).extras["deviation"][:, 0])).float()
    returns = (returns / returns.std()).unsqueeze(-1)
    first = torch.zeros(len(returns), dtype=torch.bool)
    shape = {"length": 16, "horizons": (1,)}
    history, future, ends = cut(returns, torch.ones_like(returns), torch.ones(len(returns)), first, **shape)  # type: ignore[arg-type]
    fitted = ends < 20_000
    read, wanted = (type(each)(*(x[fitted] for x in each)) for each in (history, future))
    generator = torch.Generator().manual_seed(0)
    if kind == "ridge":
        model: Any = RidgeAnchor(16, 1, 1)
        model.typical = typical_change(read)
        model.update(read, wanted)
    else:
        model = {"linear": NLinear, "gru": DecayingGRU}[kind](16, 1, 1, generator)
        model.typical.copy_(typical_change(read))
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(1_000):
            some = torch.randint(len(read.value), (128,), generator=generator)
            made = model(History(*(each[some] for each in read)))
            optimizer.zero_grad()
            pinball(made, wanted.value[some]).mean().backward()
            optimizer.step()
    later = History(*(each[ends > 30_000] for each in history))
    with torch.no_grad():
        median = model(later)[:, 0, 0, MEDIAN]
    assert torch.corrcoef(torch.stack([median, future.value[ends > 30_000, 0, 0]]))[0, 1] > 0.18
