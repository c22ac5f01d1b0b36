"""How a policy is to be shown at work."""

from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np

EPISODE_LIMIT = 108_000  # steps of a game: half an hour of Atari without frames skipped (Machado et al. 2018)


@dataclass(frozen=True)
class Showing:
    """How an episode is to be shown."""

    split: str = "validation"
    episodes: int = 1
    seed: int = 0
    epsilon: float = 0.0  # how often an action is drawn at random
    video: Path | None = None  # where the film goes; its ending names the format
    human: bool = False  # in a window
    folder: Path | None = None  # of films: one is made there where none is named and no window can be opened
    longest: int = EPISODE_LIMIT  # steps of an episode that are shown
    values: bool = False  # what the agent thinks of each action stands beside the picture
    ending: deque[np.ndarray] | None = None  # takes up the pictures, so that its length of them is left at the end
