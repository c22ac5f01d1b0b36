"""How an observation is laid out, and the panel whose rows are observations but for what the agent holds."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from feeds.backend import Backend
from feeds.base import Block
from feeds.market.bars import Bars

if TYPE_CHECKING:
    from feeds.market.features import Features

Array = Any


@dataclass(frozen=True)
class Layout:
    """Blocks of a flat observation, in order; those that depend on the agent stand at the end."""

    blocks: tuple[Block, ...]

    @property
    def size(self) -> int:
        return self.blocks[-1].stop

    def block(self, name: str) -> Block | None:
        return next((block for block in self.blocks if block.name == name), None)


class Observer:
    """Makes observations `[B, D]` float32: one row of the panel each, and a few columns written over."""

    def __init__(self, layout: Layout, panel: Float[np.ndarray, "t d"], backend: Backend) -> None:
        self.layout = layout
        self.panel = backend.put(panel)
        self.backend = backend
        weights, pending, account = (layout.block(name) for name in ("weights", "pending", "account"))
        assert weights is not None
        assert account is not None
        self.weights = slice(weights.start, weights.stop)
        self.pending = None if pending is None else slice(pending.start, pending.stop)
        self.cash, self.drawdown = account.start, account.start + 1

    def blank(self, bar: Array) -> Array:
        """Observations of portfolios that are all cash and have lost nothing."""
        return self.backend.rows(self.panel, bar)

    def look(self, bar: Array, weights: Array, cash: Array, drawdown: Array, pending: Array | None) -> Array:
        """`bar` [B], `weights` and `pending` [B, N], `cash` and `drawdown` [B], all as fractions."""
        observation = self.backend.rows(self.panel, bar)
        observation[:, self.weights] = weights
        observation[:, self.cash] = cash
        observation[:, self.drawdown] = drawdown
        if self.pending is not None:
            observation[:, self.pending] = pending
        return observation


def lay_out(features: "Features", bars: Bars, *, tranches: bool) -> Layout:
    """The blocks: what is known of assets, of all, of closes, then what the agent holds and what is still to come."""
    n = len(bars.symbols)
    entries: list[tuple[str, tuple[int, ...], tuple[str, ...]]] = [
        ("assets", (n, len(features.names)), tuple(features.names)),
        ("tradable", (n,), bars.symbols),
    ]
    if features.shared_names:
        entries.append(("shared", (len(features.shared_names),), tuple(features.shared_names)))
    if features.window is not None:
        entries.append(("window", (features.window.shape[1], n), bars.symbols))
    entries.append(("weights", (n,), bars.symbols))
    if tranches:
        entries.append(("pending", (n,), bars.symbols))
    entries.append(("account", (2,), ("cash", "drawdown")))
    blocks: list[Block] = []
    for name, shape, names in entries:
        blocks.append(Block(name, blocks[-1].stop if blocks else 0, shape, names))
    return Layout(tuple(blocks))


def make_panel(layout: Layout, features: "Features", bars: Bars) -> Float[np.ndarray, "t d"]:
    """`[T, D]` float32; the columns of the agent's own blocks say: all cash, nothing lost."""
    length = bars.shape[0]
    known = {"assets": features.values, "tradable": bars.tradable, "shared": features.shared, "window": features.window}
    panel = np.zeros((length, layout.size), np.float32)
    for block in layout.blocks:
        if block.name in known:
            panel[:, block.start : block.stop] = np.asarray(known[block.name], np.float32).reshape(length, -1)
    account = layout.block("account")
    assert account is not None
    panel[:, account.start] = 1.0
    return panel
