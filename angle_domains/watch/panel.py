"""What an agent thinks of each action, drawn beside the picture of the game."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from angle_domains.watch.film import Picture, magnified

_WIDTH = 200  # pixels
_BACK, _BAR, _CHOSEN, _TEXT = (18, 24, 32), (70, 110, 160), (240, 170, 60), (225, 232, 240)


def beside(picture: Picture, values: np.ndarray | None, chosen: int | None, words: Sequence[str]) -> Picture:
    """The picture with a panel at its right: `words`, then a bar for each of the `values` `[n]`, the chosen one lit."""
    large = magnified(picture)
    panel = Image.new("RGB", (_WIDTH, large.shape[0]), _BACK)
    draw = ImageDraw.Draw(panel)
    top = 8
    for line in words:
        draw.text((8, top), line, fill=_TEXT)
        top += 14
    if values is not None and len(values):
        _bars(draw, values, chosen, top + 8, large.shape[0] - 8)
    return np.concatenate((large, np.asarray(panel, np.uint8)), 1)


def _bars(draw: ImageDraw.ImageDraw, values: np.ndarray, chosen: int | None, top: int, bottom: int) -> None:
    """Bars from the lowest value, so that differences show; forbidden actions (-inf) have none."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    height = max(4, min(22, (bottom - top) // len(values)))
    for index, value in enumerate(values):
        y = top + index * height
        if y + height > bottom + 2:
            return
        share = (float(value) - low) / (high - low) if high > low and np.isfinite(value) else 0.0
        draw.rectangle((30, y + 2, 32 + share * 90, y + height - 2), fill=_CHOSEN if index == chosen else _BAR)
        if height >= 10:
            draw.text((8, y), str(index), fill=_TEXT)
            draw.text((130, y), f"{value:.3g}" if np.isfinite(value) else "–", fill=_TEXT)
