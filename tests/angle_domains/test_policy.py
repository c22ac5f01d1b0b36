"""What a policy refuses to play, and in which words."""

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from angle_domains.errors import CheckpointError
from angle_domains.policy import check_observations
from feeds.base import FeedSpec


def spec(space: spaces.Space[Any]) -> FeedSpec:
    return FeedSpec("given", space, spaces.Discrete(2))


def test_boxes_of_another_shape_are_told_by_their_shapes() -> None:
    with pytest.raises(CheckpointError, match=r"box of shape \(4,\).*box of shape \(6,\)"):
        check_observations(spec(spaces.Box(-1.0, 1.0, (4,))), spec(spaces.Box(-1.0, 1.0, (6,))))


def test_boxes_of_one_shape_are_told_with_their_bounds() -> None:
    with pytest.raises(CheckpointError, match=r"Box\(-1\.0, 1\.0.*Box\(-2\.0, 2\.0"):
        check_observations(spec(spaces.Box(-1.0, 1.0, (4,), np.float32)), spec(spaces.Box(-2.0, 2.0, (4,), np.float32)))
