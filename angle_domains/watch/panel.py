"""What an agent thinks of each action, drawn beside the picture of the game."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from gymnasium import spaces
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont

from angle_domains.watch.film import Picture, magnified

_WIDTH, _EDGE, _LINE = 220, 12, 18  # pixels: of the panel, around what it holds, of a line of words
_FROM, _TO = 36, 150  # pixels: where the longest bar begins and ends
_HIGHEST, _LEAST = 24, 11  # pixels: of a bar with its gap, of one that has numbers beside it
_BACK, _TRACK, _BAR, _CHOSEN = (18, 24, 32), (34, 44, 57), (78, 126, 186), (240, 170, 60)
_TEXT, _QUIET = (230, 236, 243), (142, 156, 172)


@dataclass(frozen=True)
class Thoughts:
    """A number for each action; its bar grows from `base` within `low` and `high`. Forbidden actions have -inf."""

    what: str
    numbers: Float[np.ndarray, " n"]
    low: Float[np.ndarray, " #n"]
    high: Float[np.ndarray, " #n"]
    base: Float[np.ndarray, " #n"]
    names: tuple[str, ...] = ()  # of the actions, where their places do not say it

    @classmethod
    def of_values(cls, numbers: Float[np.ndarray, " n"]) -> Self:
        """Bars from the lowest value to the highest, so that differences show."""
        finite = numbers[np.isfinite(numbers)]
        low = np.array([finite.min(initial=np.inf)])
        return cls("value", numbers, low, np.array([finite.max(initial=-np.inf)]), low)

    @classmethod
    def of_probabilities(cls, numbers: Float[np.ndarray, " n"]) -> Self:
        return cls("probability", numbers, np.zeros(1), np.ones(1), np.zeros(1))

    @classmethod
    def of_parts(cls, numbers: Float[np.ndarray, "p k"], counts: Sequence[int]) -> Self:
        """Probabilities of choices that are made side by side: those of the first part, then of the next."""
        flat = np.concatenate([of[:count] for of, count in zip(numbers, counts, strict=True)])
        names = tuple(f"{part}.{choice}" for part, count in enumerate(counts) for choice in range(count))
        return replace(cls.of_probabilities(flat), names=names)

    @classmethod
    def of_action(cls, numbers: Float[np.ndarray, " n"], space: spaces.Box) -> Self:
        """The place of an action in its box, from zero where that is inside; without bounds ±1 at least are shown."""
        flat, low, high = numbers.flatten(), space.low.flatten(), space.high.flatten()
        reach = max(1.0, float(np.abs(flat[~np.isfinite(high - low)]).max(initial=0.0)))
        low, high = np.where(np.isfinite(low), low, -reach), np.where(np.isfinite(high), high, reach)
        return cls("action", flat, low, high, np.clip(0.0, low, high))

    def at(self, numbers: Float[np.ndarray, " #n"]) -> Float[np.ndarray, " n"]:
        """Between 0, `low`, and 1, `high`; 0 where the two are one."""
        span = np.where(self.high > self.low, self.high - self.low, 1.0)
        share = np.where(np.isfinite(numbers) & (self.high > self.low), (numbers - self.low) / span, 0.0)
        return np.broadcast_to(np.clip(share, 0.0, 1.0), self.numbers.shape)


def beside(picture: Picture, thoughts: Thoughts | None, chosen: Collection[int], words: Sequence[str]) -> Picture:
    """The picture with a panel at its right: `words`, then a bar for each number, those of the chosen lit."""
    large = magnified(picture)
    panel = Image.new("RGB", (_WIDTH, large.shape[0]), _BACK)
    draw = ImageDraw.Draw(panel)
    for place, line in enumerate(words):
        font = _font(14 if place == 0 else 13)
        draw.text((_EDGE, _EDGE + _LINE * place), _fitted(draw, line, font), _QUIET if place else _TEXT, font)
    if thoughts is not None and len(thoughts.numbers):
        _bars(draw, thoughts, chosen, _EDGE + _LINE * len(words) + 14, large.shape[0] - _EDGE)
    return np.concatenate((large, np.asarray(panel, np.uint8)), 1)


def _bars(draw: ImageDraw.ImageDraw, thoughts: Thoughts, chosen: Collection[int], top: int, bottom: int) -> None:
    draw.text((_EDGE, top), thoughts.what, _TEXT, _font(13))
    top += _LINE + 4
    height = max(4, min(_HIGHEST, (bottom - top) // len(thoughts.numbers)))
    font, gap = _font(min(13, height - 1)), max(1, height // 6)
    begins, ends = (_FROM + (_TO - _FROM) * thoughts.at(of) for of in (thoughts.base, thoughts.numbers))
    for index, number in enumerate(thoughts.numbers):
        y = top + index * height
        if y + height > bottom + 2:
            return
        middle, known = y + height / 2, bool(np.isfinite(number))
        lit = index in chosen
        draw.rectangle((_FROM, y + gap, _TO, y + height - gap), _TRACK)
        if known:
            left, right = sorted((begins[index], ends[index]))
            draw.rectangle((left, y + gap, max(right, left + 1), y + height - gap), _CHOSEN if lit else _BAR)
        if height >= _LEAST:
            colour = _TEXT if lit else _QUIET
            draw.text(
                (_FROM - 8, middle), thoughts.names[index] if thoughts.names else str(index), colour, font, anchor="rm"
            )
            draw.text((_WIDTH - _EDGE, middle), _written(float(number), thoughts.what), colour, font, anchor="rm")


def _written(number: float, what: str) -> str:
    if not np.isfinite(number):
        return "-"  # the font has no dash, and no minus but this
    return f"{number:.1%}" if what == "probability" else f"{number:.3g}"


def _fitted(draw: ImageDraw.ImageDraw, line: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """The line, cut where it would leave the panel."""
    while len(line) > 2 and draw.textlength(line, font) > _WIDTH - 2 * _EDGE:
        line = f"{line[:-2]}…"
    return line


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(max(6, size))
