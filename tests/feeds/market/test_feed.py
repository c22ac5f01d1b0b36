"""States, episodes and observations of a market feed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds.backend import to_numpy
from feeds.errors import FeedError
from feeds.market.feed import MarketFeed
from tests.universe import FREE, SPLITS, bars_of, market, play, random_closes

SHORTING: dict[str, Any] = {"long_only": False, "gross_cap": 1.5, "net_cap": 1.0}
KINDS: list[dict[str, Any]] = [
    {},
    {"actions": SHORTING, "costs": {"borrow_rate": 0.03, "loan_rate": 0.05, "cash_rate": 0.02}},
    {"actions": {"mode": "discrete"}},
    {"actions": {"mode": "portfolios", "portfolios": ((0.0,) * 4, (0.25,) * 4)}},
    {"fill": "same_close"},
    {"rebalance_every": 3},
    {"holding": 3},
    {"window": 5, "calendar": True},
    {"costs": {"minimum_fee": 20.0, "sqrt_impact": 0.1, "linear_impact": 0.1}},
]


def actions(feed: MarketFeed, streams: int, seed: int) -> np.ndarray:
    feed.spec.action_space.seed(seed)
    return np.stack([feed.spec.action_space.sample() for _ in range(streams)])


def opened(length: int = 200) -> dict[str, Any]:
    close = random_closes(length)
    return {"open": close * np.exp(np.random.default_rng(7).normal(0, 0.01, close.shape)), "volume": close * 1e4}


@pytest.mark.parametrize("kind", KINDS)
def test_rewards_sum_to_the_log_of_final_wealth(kind: dict[str, Any]) -> None:
    feed = market(panels=opened(), **kind)
    state, first = feed.reset(np.arange(5), split="test")
    total, seed = np.zeros(5), 0
    while True:
        state, step = feed.step(state, actions(feed, 5, seed))
        total, seed = total + step.reward, seed + 1
        if step.truncated.any():
            break
    np.testing.assert_allclose(total, np.log(step.info["wealth"] / first.info["wealth"]), atol=1e-9)
    assert len(set(total.tolist())) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_stepping_leaves_the_old_state_and_shares_nothing_with_it(kind: dict[str, Any]) -> None:
    feed = market(panels=opened(), **kind)
    state, _ = feed.reset(np.arange(3), split="train")
    state, _ = feed.step(state, actions(feed, 3, 0))
    before = [array.copy() for array in state]
    after, outcome = feed.step(state, actions(feed, 3, 1))
    for old, kept in zip(state, before, strict=True):
        np.testing.assert_array_equal(old, kept)
        for array in (*after, *outcome[:4], *outcome.info.values()):
            assert not np.shares_memory(old, array)
    again, _ = feed.step(state, actions(feed, 3, 1))
    for one, other in zip(after, again, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_torch_computes_the_same(kind: dict[str, Any]) -> None:
    feed = market(panels=opened(), **kind)
    other = feed.to("torch")
    state, step = feed.reset(np.arange(6), split="train")
    state_t, step_t = other.reset(np.arange(6), split="train")
    for seed in range(20):
        for name in step.info:
            np.testing.assert_allclose(step.info[name], to_numpy(step_t.info[name]), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(step.observation, to_numpy(step_t.observation), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(step.reward, to_numpy(step_t.reward), atol=1e-12)
        np.testing.assert_array_equal(step.truncated, to_numpy(step_t.truncated))
        action = actions(feed, 6, seed)
        state, step = feed.step(state, action)
        state_t, step_t = other.step(state_t, action)
    assert to_numpy(state_t.assets).dtype == np.float64


def test_a_larger_action_is_a_larger_holding() -> None:
    feed = market(costs=FREE)
    sweep = np.linspace(0.0, 0.7, 141)
    state, _ = feed.reset(np.zeros(141, np.int64), split="test")
    action = np.full((141, 4), 0.1, np.float32)
    action[:, 2] = sweep
    _, step = feed.step(state, action)
    assert (np.diff(step.info["weights"][:, 2]) > 0.0).all()
    np.testing.assert_allclose(step.info["weights"][:, 2], sweep, atol=1e-7)


def test_prices_in_another_currency_change_nothing() -> None:
    close = random_closes(120)
    volume = np.full(close.shape, 1e6)
    tapes = []
    for unit in (1.0, 1e6):
        feed = market(close * unit, panels={"volume": volume / unit}, window=5, costs={"sqrt_impact": 0.1})
        tapes.append(play(feed, np.full(4, 0.25)))
    for one, other in zip(*tapes, strict=True):
        np.testing.assert_allclose(one.observation, other.observation, atol=1e-6)
        np.testing.assert_allclose(one.reward, other.reward, atol=1e-12)


def test_permuting_the_assets_permutes_their_blocks() -> None:
    order = [2, 0, 3, 1]
    close = random_closes(120)
    first, second = market(close, window=5), market(close[:, order], window=5)
    weights = np.array([0.1, 0.2, 0.3, 0.4])
    for one, other in zip(play(first, weights), play(second, weights[order]), strict=True):
        assert one.reward[0] == pytest.approx(other.reward[0], abs=1e-12)
        for block in first.spec.blocks:
            axis = {"assets": 0, "tradable": 0, "weights": 0, "window": 1}.get(block.name)
            views = [step.observation[0, block.start : block.stop].reshape(block.shape) for step in (one, other)]
            expected = views[0] if axis is None else views[0].take(order, axis)
            np.testing.assert_allclose(views[1], expected, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**62), st.integers(1, 150), st.sampled_from(["train", "validation", "test"]), st.booleans())
def test_episodes_stay_within_their_part(key: int, episode: int, split: str, random_start: bool) -> None:
    feed = market(episode_bars=episode, random_start=random_start, window=9)
    part = feed.parts[split]
    state, step = feed.reset(np.array([key]), split=split)
    bars = [int(step.info["bar"][0])]
    while not step.truncated[0]:
        state, step = feed.step(state, np.zeros((1, 4)))
        bars.append(int(step.info["bar"][0]))
    assert bars == list(range(bars[0], bars[-1] + 1))
    assert bars[0] >= max(part.start, 8)
    assert bars[-1] < part.stop
    if split == "train":
        assert len(bars) - 1 == min(episode, part.stop - 1 - max(part.start, 8))
    else:
        assert (bars[0], bars[-1]) == (part.start, part.stop - 1)


def test_training_episodes_begin_everywhere() -> None:
    feed = market(episode_bars=20)
    state, _ = feed.reset(np.arange(5_000), split="train")
    first, last = feed.features.first, feed.parts["train"].stop - 1
    assert sorted(set(state.bar.tolist())) == list(range(first, last - 20 + 1))


def test_resetting_twice_is_a_fresh_feed() -> None:
    feed = market()
    play(feed, np.full(4, 0.25), split="train")
    fresh, used = (one.reset(np.array([5]), split="train") for one in (market(), feed))
    for one, other in zip((*fresh[0], *fresh[1][:4]), (*used[0], *used[1][:4]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_features_are_seen_from_the_first_observation_on() -> None:
    feed = market(window=5)
    _, step = feed.reset(np.arange(8), split="train")
    for name in ("assets", "tradable", "window"):
        block = feed.spec.block(name)
        assert block is not None
        assert (np.abs(step.observation[:, block.start : block.stop]).sum(1) > 0.0).all()
    account = feed.spec.block("account")
    assert account is not None
    np.testing.assert_array_equal(step.observation[:, account.start :], [[1.0, 0.0]] * 8)


def test_the_observation_shows_what_is_held_after_drift() -> None:
    feed = market()
    state, _ = feed.reset(np.arange(3), split="train")
    for seed in range(5):
        state, step = feed.step(state, actions(feed, 3, seed))
    weights, account = feed.spec.block("weights"), feed.spec.block("account")
    assert weights is not None
    assert account is not None
    np.testing.assert_allclose(step.observation[:, weights.start : weights.stop], step.info["weights"], rtol=1e-6)
    expected = np.stack([1.0 - step.info["weights"].sum(1), 1.0 - state.wealth / state.peak], 1)
    np.testing.assert_allclose(step.observation[:, account.start : account.stop], expected, atol=1e-6)


def test_discrete_portfolios_differ() -> None:
    feed = market(actions={"mode": "portfolios", "portfolios": ((1.0, 0, 0, 0), (0, 1.0, 0, 0), (0.0,) * 4)})
    state, _ = feed.reset(np.zeros(3, np.int64), split="test")
    for _ in range(5):
        state, step = feed.step(state, np.arange(3))
    assert len(set(step.info["wealth"].tolist())) == 3
    assert step.info["wealth"][2] == 1e6


def test_what_is_over_may_be_stepped_and_thrown_away() -> None:
    feed = market(episode_bars=3)
    state, _ = feed.reset(np.arange(2), split="train")
    for _ in range(3):
        state, step = feed.step(state, np.full((2, 4), 0.25))
    assert step.truncated.all()
    state, step = feed.step(state, np.full((2, 4), np.nan))
    assert np.isfinite(step.reward).all()


@pytest.mark.parametrize("mode", ["weights", "discrete"])
@pytest.mark.parametrize("holding", [1, 3])
@pytest.mark.parametrize("held", [False, True])
def test_what_is_over_trades_nothing(mode: str, holding: int, held: bool) -> None:
    actions = {"mode": mode, "long_only": False, "gross_cap": 2.0, "net_cap": 1.0}
    feed = market(actions=actions, holding=holding, episode_bars=4)
    state, step = feed.reset(np.arange(2))
    while not step.truncated.all():
        state, step = feed.step(state, np.full((2, 4), 2))
    for number in (np.nan, 2.0):
        after, step = feed.hold(state, np.full((2, 4), number)) if held else feed.step(state, np.full((2, 4), number))
        assert step.info["turnover"].tolist() == step.reward.tolist() == [0.0, 0.0]
        assert not step.info["weights"].any()
        assert not after.assets.any()
        assert not step.info["projected"].any()


def test_an_action_that_is_not_a_number_names_the_stream() -> None:
    feed = market()
    state, _ = feed.reset(np.arange(3), split="train")
    action = np.full((3, 4), 0.1)
    action[1, 2] = np.nan
    with pytest.raises(FeedError, match="stream 1"):
        feed.step(state, action)


def test_an_unknown_split_names_the_nearest() -> None:
    with pytest.raises(FeedError, match="did you mean 'validation'"):
        market().reset(np.arange(2), split="valid")


def test_a_part_without_a_step_is_an_error() -> None:
    feed = MarketFeed(
        market().config.model_copy(update={"window": 100}), bars=replace(bars_of(random_closes()), source="x")
    )
    with pytest.raises(FeedError, match="the train part .* holds no step: features need 99"):
        feed.reset(np.arange(2), split="train")


def test_the_spec_names_what_an_agent_needs() -> None:
    spec = market(window=6, holding=2).spec
    assert [block.name for block in spec.blocks] == ["assets", "tradable", "window", "weights", "pending", "account"]
    assert spec.blocks[-1].stop == spec.observation_space.shape[0]
    assert spec.simplex
    assert not market(actions=SHORTING).spec.simplex
    assert SPLITS["embargo"] == market().config.splits.embargo
