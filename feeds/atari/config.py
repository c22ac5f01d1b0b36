"""The settings of Atari, and the names that its games go by. Needs no emulator."""

import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from pydantic import Field, NonNegativeInt, PositiveInt

from feeds.errors import FeedError, nearest
from feeds.settings import Settings

# These have no mode for one player.
_FOR_TWO = {"combat", "joust", "maze_craze", "warlords"}
_NAME = re.compile(r"(?P<ale>ALE/)?(?P<game>\w+?)(?P<kind>NoFrameskip|Deterministic)?(?:-(?P<version>v\d+))?")
_FORMS = ("{}", "ALE/{}-v5", "{}NoFrameskip-v4", "{}Deterministic-v4")


class AtariConfig(Settings):
    """How a game is prepared. None: as the protocol that the name stands for has it, see `Protocol`."""

    env: str = "Pong"
    sticky: float | None = Field(None, ge=0.0, le=1.0)  # chance that a frame repeats the action before
    life_loss: bool | None = None  # in training an episode ends where a life is lost; the game goes on
    noop_max: NonNegativeInt = 30  # a game begins with up to as many frames without action
    frame_skip: PositiveInt = 4  # frames an action lasts
    maxpool: bool = True  # see the brighter pixel of the last two frames
    fire_reset: bool = True  # on every part FIRE is pressed as a game begins, and after a life
    clip_rewards: bool = True  # in training, to -1..1
    grey: bool = True  # else red, green and blue of each frame are channels of their own
    size: PositiveInt = 84  # pixels of height and width
    stack: PositiveInt = 4  # frames seen at once, zeros before the first
    full_actions: bool = False  # all 18 actions, also where the game knows fewer
    max_frames: PositiveInt = 108_000  # a game is truncated then: half an hour
    threads: NonNegativeInt = 0  # that emulate; 0: one for each stream, as far as there are cores


@dataclass(frozen=True)
class Protocol:
    """What a name says of the game.

    `ALE/Pong-v5` and the bare `Pong` follow Machado et al. (2018): sticky actions of 0.25, an episode is a whole game.
    `PongNoFrameskip-v4` and `PongDeterministic-v4` follow Mnih et al. (2015): no sticky actions, and in training an
    episode ends with a life. The versions `-v0` of these two are as `-v4` with sticky actions.
    """

    rom: str
    sticky: float
    life_loss: bool


def parse_name(name: str) -> Protocol:
    """The game and protocol of a name; FeedError names the nearest."""
    protocol = _parse(name)
    if protocol is None:
        raise FeedError(f"no Atari game is called '{name}': {nearest(name, listing())}")
    return protocol


def knows(name: str) -> bool:
    """Whether a name is that of an Atari game."""
    return _parse(name) is not None


@cache
def listing() -> tuple[str, ...]:
    """The games' names, bare and in the long forms that stand for a protocol."""
    return tuple(sorted(form.format(name) for name in _roms() for form in _FORMS))


def game_name(rom: str) -> str:
    """ "ms_pacman" -> "MsPacman"."""
    return rom.title().replace("_", "")


def _parse(name: str) -> Protocol | None:
    found = _NAME.fullmatch(name)
    if found is None or (rom := _roms().get(found["game"])) is None:
        return None
    if found["kind"] is None:  # ALE/Pong-v5, Pong
        modern = found["version"] == "v5" if found["ale"] else found["version"] in (None, "v5")
        return Protocol(rom, sticky=0.25, life_loss=False) if modern else None
    if found["ale"] or found["version"] not in ("v0", "v4"):
        return None
    return Protocol(rom, sticky=0.25 if found["version"] == "v0" else 0.0, life_loss=True)


@cache
def _roms() -> dict[str, str]:
    """Bare name -> rom, of the files that came with the emulator."""
    package = find_spec("ale_py")  # found, not imported: that would load the emulator
    folder = Path(str(package.origin)).parent / "roms" if package else Path("/nonexistent")
    roms = sorted(path.stem for path in folder.glob("*.bin") if path.stem not in _FOR_TWO)
    return {game_name(rom): rom for rom in roms}
