"""Makers of environments that replay recorded stays, from the settings of a clinical feed as keyword arguments.

They are for looking at stays, replaying them, cloning behaviour and checking one's own code. The world does not answer
to actions: no policy may be trained or judged by reward in it. A policy is trained on records offline, practises in
`angle_domains/Clinical-v0`, and is judged by off-policy evaluation.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

from envs.feed_env import FeedEnv
from envs.settings import checked
from envs.vector import FeedVectorEnv
from feeds.base import Step
from feeds.clinical.config import ClinicalConfig
from feeds.clinical.feed import ClinicalFeed
from feeds.clinical.read import EMBEDDED
from feeds.errors import FeedError
from feeds.playback import Playback


class RecordsEnv(FeedEnv):
    """One recorded stay an episode; what steps and their `info` hold is said by `feeds.playback.Playback`.

    `reset` draws a stay of the part, or takes the one with the number `options["episode"]`, which counts the stays of
    the part from 0 in the order of the records; FeedError where there is none. That stay stands in for the one that
    would have been drawn: those that are drawn later stay the same.
    """

    feed: Playback

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """The next row of the stay, whatever the action is; gymnasium's ResetNeeded where the stay is over."""
        if self._state is not None and bool(self.feed.over(self._state)[0]):
            raise gymnasium.error.ResetNeeded("this stay is over: call reset() before step()")
        return super().step(action)

    def _begin(self, keys: np.ndarray, options: dict[str, Any]) -> tuple[Any, Step]:
        chosen = options.get("episode")
        if chosen is None:
            return super()._begin(keys, options)
        if isinstance(chosen, bool) or not isinstance(chosen, int | np.integer):
            raise FeedError(f"options['episode']={chosen!r} is no whole number")
        if not 0 <= chosen < self.feed.episodes:
            raise FeedError(
                f"options['episode']={chosen}: the stays of the part '{self.split}' are numbered 0 to "
                f"{self.feed.episodes - 1}"
            )
        return self.feed.begin(np.array([chosen], np.int64))


class RecordsVectorEnv(FeedVectorEnv):
    """Recorded stays side by side; all are drawn, as `RecordsEnv` draws them."""

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """As of any vector environment; FeedError where a stay is picked, which single environments alone do."""
        if options is not None and options.get("episode") is not None:
            raise FeedError("options['episode'] picks a stay in gymnasium.make(...) alone; side by side all are drawn")
        return super().reset(seed=seed, options=options)


def make_records(*, split: str = "train", render_mode: None = None, **settings: Any) -> RecordsEnv:
    """The stays of one part, one after another; those of the test part for `split="test"` alone.

    FeedError for settings that `ClinicalConfig` does not take, and for a part that records do not have.
    """
    return RecordsEnv(_playback(split, settings), split=split, render_mode=render_mode)


def make_records_vector(
    *,
    num_envs: int = 1,
    split: str = "train",
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    device: str = "cpu",
    **settings: Any,
) -> RecordsVectorEnv:
    """`num_envs` stays of one part side by side."""
    return RecordsVectorEnv(
        _playback(split, settings), num_envs, split=split, autoreset_mode=autoreset_mode, device=device
    )


def _playback(split: str, settings: dict[str, Any]) -> Playback:
    config = checked(ClinicalConfig, settings, "the environment of records")
    # a file may change between two environments; what is built in does not, and playing back changes no feed
    return Playback(_built_in(config.model_dump_json()) if config.path in EMBEDDED else ClinicalFeed(config), split)


@lru_cache(maxsize=2)
def _built_in(config: str) -> ClinicalFeed:
    return ClinicalFeed(ClinicalConfig.model_validate_json(config))
