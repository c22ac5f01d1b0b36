"""The settings of MinAtar, and the names of its games."""

from pydantic import Field, PositiveInt

from feeds.settings import Settings

# Name -> module of the package.
GAMES = {
    "Asterix": "asterix",
    "Breakout": "breakout",
    "Freeway": "freeway",
    "Seaquest": "seaquest",
    "SpaceInvaders": "space_invaders",
}


class MinAtarConfig(Settings):
    env: str = "MinAtar/Breakout-v1"
    sticky: float = Field(0.1, ge=0.0, le=1.0)  # chance that the action before is taken once more
    ramping: bool = True  # games grow more difficult
    max_steps: PositiveInt = 10_000  # an episode is truncated then; the authors set no limit


def knows(name: str) -> bool:
    return split_name(name) is not None


def listing() -> tuple[str, ...]:
    return tuple(f"MinAtar/{game}-v1" for game in GAMES)


def split_name(name: str) -> tuple[str, bool] | None:
    """Module of the game, and whether all six actions are there (`-v0`) or those that do something (`-v1`)."""
    room, _, rest = name.rpartition("/")
    game, _, version = rest.partition("-")
    if room != "MinAtar" or game not in GAMES or version not in ("", "v0", "v1"):
        return None
    return GAMES[game], version == "v0"
