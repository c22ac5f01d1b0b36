"""Where advice stands behind an observation: blocks in the shape of those that they speak of."""

from dataclasses import replace
from math import prod

import numpy as np
from gymnasium import spaces

from feeds.base import Block, FeedSpec
from metalearn.settings import MetaLearningConfig

# what an agent itself moves, what never changes, and what has been: nothing of it is to be foreseen
LEFT_OUT = ("weights", "pending", "account", "tradable", "window")
ALL = "observation"  # the one block of feeds that name none


class Layout:
    """Which entries are spoken of, and the blocks that advice fills, in the order of `Adviser.features`."""

    def __init__(self, spec: FeedSpec, config: MetaLearningConfig) -> None:
        size = prod(spec.observation_space.shape or ())
        blocks = spec.blocks or (Block(ALL, 0, (size,)),)
        spoken = [block for block in blocks if block.name not in LEFT_OUT] if config.serve.forecast else []
        self.entries = [entry for block in spoken for entry in range(block.start, block.stop)]
        self.blocks: list[Block] = []
        self._end = size
        for horizon in config.forecast.horizons if spoken else ():
            for what in ("level", "change", "spread"):
                for block in spoken:
                    self._add(f"{block.name}/{what} in {horizon}", block.shape, block.features)
        if spoken:
            self._add("width", (len(config.forecast.horizons),))
        if config.serve.risk:
            self._add("risk", (1,))
        self.size = self._end - size

    def _add(self, name: str, shape: tuple[int, ...], features: tuple[str, ...] = ()) -> None:
        self.blocks.append(Block(name, self._end, shape, features))
        self._end = self.blocks[-1].stop

    def widen(self, spec: FeedSpec) -> FeedSpec:
        """The spec as an agent sees it that is advised: one vector, the advice behind what the feed shows."""
        space = spec.observation_space
        assert isinstance(space, spaces.Box)
        free = np.full(self.size, np.inf, np.float32)
        low, high = (np.asarray(bound, np.float32).reshape(-1) for bound in (space.low, space.high))
        wide = spaces.Box(np.concatenate([low, -free]), np.concatenate([high, free]), dtype=np.float32)
        return replace(spec, observation_space=wide, blocks=(*spec.blocks, *self.blocks) if spec.blocks else ())
