"""Assets that come late, halt, leave or go bankrupt."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.universe import FREE, market, play, random_closes, whole


@pytest.mark.parametrize("fill", ["next_bar", "same_close"])
def test_a_bankrupt_asset_pays_its_recovery(fill: str) -> None:
    """Half in an asset that falls to 40 and is delisted with a recovery of 0.25: 0.5 + 0.5 * 0.4 * 0.25 = 0.55."""
    close = np.full((60, 2), 100.0)
    close[30:, 0] = 40.0
    listed = np.ones((60, 2), bool)
    listed[35:, 0] = False
    feed = market(close, panels={"listed": listed, "tradable": listed}, costs=FREE, recovery=0.25, fill=fill)
    tape = play(whole(feed), lambda bar, step: [0.5, 0.5] if step == 0 else [np.nan, np.nan])
    assert tape[-1].info["wealth"][0] == pytest.approx(0.55 * 1e6, rel=1e-12)
    assert tape[-1].info["weights"][0].tolist() == pytest.approx([0.0, 0.5 / 0.55])
    paid = [float(step.reward[0]) for step in tape[1:] if step.info["bar"][0] == 35]
    assert paid == pytest.approx([np.log(0.55 / 0.7)])


def test_a_halted_asset_cannot_be_traded_and_is_carried() -> None:
    close = np.full((60, 2), 100.0)
    tradable = np.ones((60, 2), bool)
    tradable[20:30, 0] = False
    close[30:, 0] = 80.0
    feed = whole(market(close, panels={"tradable": tradable}, costs=FREE))
    tape = play(feed, lambda bar, step: [0.6, 0.0] if bar < 21 else [0.0, 1.0])
    weights = {int(step.info["bar"][0]): step.info["weights"][0] for step in tape}
    np.testing.assert_allclose(weights[19], [0.6, 0.0])
    for bar in range(22, 30):  # the sale is blocked, and what is bought meanwhile takes no loan
        np.testing.assert_allclose(weights[bar], [0.6, 0.4])
    np.testing.assert_allclose(weights[30], [0.0, 1.0], atol=1e-12)
    block = feed.spec.block("tradable")
    assert block is not None
    seen = {int(step.info["bar"][0]): step.observation[0, block.start : block.stop] for step in tape}
    assert seen[25].tolist() == [0.0, 1.0]
    assert seen[30].tolist() == [1.0, 1.0]


def test_at_the_same_close_a_halt_blocks_what_is_decided_in_it() -> None:
    """Halted from bar 20 to 29: an order of 19 fills at once, one of 29 does not, though bar 30 trades again."""
    tradable = np.ones((60, 1), bool)
    tradable[20:30] = False
    panels = {"tradable": tradable}
    for decided, held in ((19, 20), (20, 31), (29, 31), (30, 31)):
        feed = whole(market(np.full(60, 100.0), panels=panels, costs=FREE, fill="same_close"))
        tape = play(feed, lambda bar, step, at=decided: [1.0 if bar >= at else 0.0])
        assert next(int(step.info["bar"][0]) for step in tape if step.info["weights"][0, 0]) == held


def test_an_asset_that_is_not_listed_yet_cannot_be_bought() -> None:
    close = random_closes(60, 2)
    close[:30, 1] = np.nan
    there = np.isfinite(close)
    feed = whole(market(close, panels={"listed": there, "tradable": there}, costs=FREE))
    tape = play(feed, [0.5, 0.5])
    for step in tape:
        assert np.isfinite(step.observation).all()
        if step.info["bar"][0] < 30:
            assert step.info["weights"][0, 1] == 0.0
    assert tape[-1].info["weights"][0, 1] > 0.0


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_holes_in_the_data_never_become_numbers_that_are_not(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 10_000))
    generator = np.random.default_rng(seed)
    close = random_closes(80, 3, seed, volatility=0.05)
    listed = np.ones(close.shape, bool)
    for asset in range(2):
        begin, stop = sorted(generator.integers(0, 80, 2))
        listed[:begin, asset] = False
        listed[max(stop, begin + 1) :, asset] = False
        close[:begin, asset] = np.nan
        close[max(stop, begin + 1) :, asset] = close[max(stop, begin + 1) - 1, asset]
    tradable = listed & (generator.random(close.shape) > 0.2)
    opens = np.where(tradable, close * np.exp(generator.normal(0, 0.02, close.shape)), np.nan)
    volume = np.where(tradable, generator.integers(0, 3, close.shape) * 1e4, np.nan)
    feed = market(
        close,
        panels={"listed": listed, "tradable": tradable, "open": opens, "volume": volume},
        fill=data.draw(st.sampled_from(["next_bar", "same_close"])),
        costs={"sqrt_impact": data.draw(st.sampled_from([0.0, 0.01])), "minimum_fee": 1.0},
        recovery=0.5,
        window=4,
        holding=data.draw(st.sampled_from([1, 2])),
    )
    state, step = feed.reset(np.arange(4), split=data.draw(st.sampled_from(["train", "test"])))
    for _ in range(30):
        for array in (*step[:2], *step.info.values()):
            assert np.isfinite(array).all()
        state, step = feed.step(state, generator.random((4, 3)))


def test_an_asset_delisted_later_leaves_what_was_seen_before_it() -> None:
    close = random_closes(120)
    listed = np.ones(close.shape, bool)
    listed[80:, 1] = False
    gone = np.where(listed, close, close[79])
    stays, delisted = market(close), market(gone, panels={"listed": listed, "tradable": listed})
    for one, other in zip(*(play(f, np.full(4, 0.25), split="validation") for f in (stays, delisted)), strict=True):
        if one.info["bar"][0] < 80:
            np.testing.assert_array_equal(one.observation, other.observation)
            np.testing.assert_array_equal(one.reward, other.reward)
