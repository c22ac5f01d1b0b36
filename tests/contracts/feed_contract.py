"""What every feed has to keep. A feed's own test inherits `FeedContract` and gives the fixture `feed`."""

import json
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from envs.feed_env import FeedEnv
from feeds.backend import to_numpy
from feeds.base import DataFeed, FeedSpec, Step

STREAMS = 5
STEPS = 12


class FeedContract:
    """A pure feed: spaces, seeds, states as values, no look ahead."""

    @pytest.fixture
    def feed(self) -> DataFeed[Any]:
        raise NotImplementedError

    def changed_future(self, feed: Any) -> tuple[Any, int] | None:
        """The feed with all data after some bar t changed, and t; None where the feed holds no recorded data.

        The info of such a feed says by "bar" when a step ended.
        """
        return None

    def test_it_is_a_feed_with_a_spec(self, feed: Any) -> None:
        assert isinstance(feed, DataFeed)
        assert isinstance(feed.spec, FeedSpec)
        assert feed.spec.name
        assert "train" in feed.spec.splits
        for before, block in zip(feed.spec.blocks, feed.spec.blocks[1:], strict=False):
            assert block.start == before.stop
        if feed.spec.blocks:
            assert feed.spec.blocks[0].start == 0
            assert feed.spec.observation_space.shape == (feed.spec.blocks[-1].stop,)

    def test_it_says_what_its_data_are(self, feed: Any) -> None:
        said = feed.describe()
        assert set(said) == {"name", "digest", "source", "schema", "profile"}
        assert json.loads(json.dumps(said)) == said

    def test_steps_lie_in_their_spaces_and_lead_with_the_streams(self, feed: Any) -> None:
        for split in feed.spec.splits:
            for step in tape(feed, split=split):
                for row in step.observation:
                    assert feed.spec.observation_space.contains(row)
                assert step.reward.shape == step.terminated.shape == step.truncated.shape == (STREAMS,)
                assert (step.reward.dtype, step.terminated.dtype, step.truncated.dtype) == (float, bool, bool)
                assert np.isfinite(step.reward).all()
                assert not (step.terminated & step.truncated).any()
                assert all(len(array) == STREAMS for array in step.info.values())

    def test_a_first_step_reports_what_later_steps_do(self, feed: Any) -> None:
        first, later = tape(feed)[:2]
        assert set(first.info) == set(later.info)
        for name, array in first.info.items():
            assert (array.dtype, array.shape) == (later.info[name].dtype, later.info[name].shape)
        assert first.reward.tolist() == [0.0] * STREAMS

    def test_stepping_changes_no_state_and_shares_no_memory_with_it(self, feed: Any) -> None:
        state, _ = feed.reset(np.arange(STREAMS), split="train")
        before = [np.array(array) for array in state]
        after, step = feed.step(state, sample(feed, 0))
        for kept, old in zip(before, state, strict=True):
            np.testing.assert_array_equal(kept, old)
            for array in (*after, *step[:4], *step.info.values()):
                assert not np.shares_memory(old, array)
        for array in (*step[:4], *step.info.values()):
            assert not any(np.shares_memory(array, own) for own in after)
        again, repeated = feed.step(state, sample(feed, 0))
        assert_same(step, repeated)
        for one, other in zip(after, again, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_a_key_is_an_episode_wherever_it_stands(self, feed: Any) -> None:
        keys = np.arange(STREAMS) * 7919
        together = tape(feed, keys)
        for stream in range(STREAMS):
            alone = tape(feed, keys[[stream]], rows=[stream])
            for one, other in zip(together, alone, strict=False):  # alone the tape stops at this stream's end
                np.testing.assert_allclose(one.reward[stream], other.reward[0], rtol=0, atol=1e-12)
                np.testing.assert_array_equal(one.observation[stream], other.observation[0])
                np.testing.assert_array_equal(one.terminated[stream], other.terminated[0])
                np.testing.assert_array_equal(one.truncated[stream], other.truncated[0])

    def test_torch_tells_the_same_story(self, feed: Any) -> None:
        for one, other in zip(tape(feed), tape(feed.to("torch")), strict=True):
            np.testing.assert_allclose(one.reward, to_numpy(other.reward), rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(one.observation, to_numpy(other.observation), rtol=1e-6, atol=1e-6)
            np.testing.assert_array_equal(one.terminated, to_numpy(other.terminated))

    def test_the_future_cannot_be_seen(self, feed: Any) -> None:
        changed = self.changed_future(feed)
        if changed is None:
            pytest.skip("this feed holds no recorded data, so it has no future to change")
        other, bar = changed
        compared = 0
        for split in feed.spec.splits:
            for one, two in zip(tape(feed, split=split, steps=400), tape(other, split=split, steps=400), strict=False):
                past = (one.info["bar"] <= bar) & (two.info["bar"] <= bar)
                compared += int(past.sum())
                np.testing.assert_array_equal(one.observation[past], two.observation[past])
                np.testing.assert_array_equal(one.reward[past], two.reward[past])
        assert compared > 0

    def test_gymnasium_finds_no_fault(self, feed: Any) -> None:
        spec = gymnasium.envs.registration.EnvSpec("Contract-v0", entry_point=lambda **_: FeedEnv(feed))
        env = gymnasium.make(spec, disable_env_checker=True).unwrapped
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(env)


def sample(feed: Any, seed: int, streams: int = STREAMS) -> np.ndarray:
    """Allowed actions `[B, ...]` of the space, always the same ones for a seed."""
    space: spaces.Space[Any] = feed.spec.action_space
    space.seed(seed)
    return np.stack([np.asarray(space.sample()) for _ in range(streams)])


def tape(
    feed: Any,
    keys: np.ndarray | None = None,
    *,
    split: str = "train",
    steps: int = STEPS,
    rows: list[int] | None = None,
) -> list[Step]:
    """Steps until the first stream that ends, at most `steps`; `rows` are the streams whose actions are taken."""
    rows = list(range(STREAMS)) if rows is None else rows
    state, step = feed.reset(np.arange(STREAMS) if keys is None else keys, split=split)
    steps_taken = [step]
    for seed in range(steps):
        state, step = feed.step(state, sample(feed, seed)[rows])
        steps_taken.append(step)
        if bool((step.terminated | step.truncated).all()):
            break
    return steps_taken


def assert_same(one: Step, other: Step) -> None:
    for first, second in zip((*one[:4], *one.info.values()), (*other[:4], *other.info.values()), strict=True):
        np.testing.assert_array_equal(first, second)
