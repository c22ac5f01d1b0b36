"""Generators of random numbers, one for each purpose, so that none draws what another drew."""

from typing import Literal, get_args

import numpy as np
import torch
from torch import Generator

Purpose = Literal["network", "decisions", "replay", "novelty"]


def seeded(seed: int, purpose: Purpose, device: str | torch.device = "cpu") -> Generator:
    """Independent of those of other seeds and of other purposes.

    Seeded alike, the noise of the actions would repeat the numbers by which the weights were drawn and rows are chosen.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(get_args(Purpose).index(purpose),))
    return Generator(device=device).manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1)))
