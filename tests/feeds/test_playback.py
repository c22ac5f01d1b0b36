"""A log as a feed to step through keeps what every feed keeps, with masks and with doses as actions."""

from typing import Any

import numpy as np
import pytest

from feeds.clinical.feed import ClinicalFeed
from feeds.errors import FeedError
from feeds.playback import Playback
from tests.contracts.feed_contract import FeedContract
from tests.feeds.clinical.tables import feed as recorded


class TestMasked(FeedContract):
    @pytest.fixture
    def feed(self) -> Playback:
        return Playback(recorded(actions={"persist": ("action_vaso",)}))


class TestDoses(FeedContract):
    @pytest.fixture
    def feed(self) -> Playback:
        return Playback(recorded(actions={"codec": "box"}))


def test_no_part_is_read_but_the_one_that_is_played(monkeypatch: pytest.MonkeyPatch) -> None:
    logged, asked = recorded(), []
    episodes = ClinicalFeed.episodes

    def noted(self: ClinicalFeed, split: str) -> Any:
        asked.append(split)
        return episodes(self, split)

    monkeypatch.setattr(ClinicalFeed, "episodes", noted)
    played = Playback(logged)
    assert played.spec.splits == ("train",)
    with pytest.raises(FeedError, match="'train' is played back here, not 'test'"):
        played.reset(np.arange(3), split="test")
    assert asked == ["train"]
    Playback(logged, "test").reset(np.arange(3), split="test")
    assert asked == ["train", "test"]


def test_a_part_that_is_none_is_named_with_the_nearest() -> None:
    with pytest.raises(FeedError, match="no split 'tets'.*did you mean 'test'"):
        Playback(recorded(), "tets")


def test_an_episode_that_is_over_stays_at_its_last_row() -> None:
    """As streams do that wait for the others."""
    played = Playback(recorded())
    state, _ = played.begin(np.array([0, 1]))
    rows = played.logged.episodes("train")
    for _ in range(int((rows.stops - rows.starts).max())):
        state, step = played.step(state, np.zeros(2, np.int64))
    assert state.row.tolist() == (rows.stops[:2] - 1).tolist()
    assert played.over(state).all()
    assert (step.terminated | step.truncated).all()
