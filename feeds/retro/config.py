"""The settings of console games, and their names. Needs no emulator."""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from feeds.settings import Settings

_CONSOLES = (
    "32x|Arcade|Atari2600|GameBoy|Gb|GbColor|Gba|GameGear|Genesis|N64|Nds|Nes|PCEngine|Saturn|Scd|Sms|Snes|FBNeo"
)
_NAME = re.compile(rf"[\w.]+-(?:{_CONSOLES})(?:-v\d+)?")


class RetroConfig(Settings):
    env: str = "Airstriker-Genesis-v0"
    state: str | None = None  # the saved state that games begin at; None: the game's own
    scenario: str | None = None  # what is rewarded and when a game is over; None: the game's own
    # simple: one direction or none, with one button or none; all: what the game's description allows; or buttons to
    # press together, as in [[], ["LEFT"], ["RIGHT"], ["RIGHT", "B"]]
    actions: Literal["simple", "all"] | tuple[tuple[str, ...], ...] = "simple"
    sticky: float = Field(0.25, ge=0.0, le=1.0)  # chance that a frame repeats the buttons before
    noop_max: NonNegativeInt = 30  # a game begins with up to as many frames without a button
    frame_skip: PositiveInt = 4  # frames an action lasts
    maxpool: bool = True  # see the brighter pixel of the last two frames
    clip_rewards: bool = True  # in training, to -1..1
    size: PositiveInt = 84  # pixels of height and width, in grey
    stack: PositiveInt = 4  # frames seen at once, zeros before the first
    max_frames: PositiveInt = 18_000  # a game is truncated then: five minutes


def knows(name: str) -> bool:
    """Whether a name has the form of a console game's, be it there or not."""
    return _NAME.fullmatch(name) is not None


@cache
def listing() -> tuple[str, ...]:
    """The games that are described, with or without their rom; none without the extra."""
    package = find_spec("stable_retro")  # found, not imported: that would load the emulators
    if package is None:
        return ()
    folder = Path(str(package.origin)).parent / "data" / "stable"
    return tuple(sorted(path.name for path in folder.iterdir() if (path / "data.json").is_file()))


def full_name(name: str) -> str:
    """The name with its version, as games are stored: "SonicTheHedgehog-Genesis" -> "SonicTheHedgehog-Genesis-v0"."""
    return name if re.search(r"-v\d+$", name) else f"{name}-v0"
