"""The settings of the diabetes simulator, and the names of its patients."""

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from feeds.settings import Settings

GROUPS = ("adolescent", "adult", "child")
_EACH = 10


class GlucoseConfig(Settings):
    env: str = "adult#001"  # the virtual patient
    sensor: Literal["Dexcom", "GuardianRT", "Navigator"] = "Dexcom"  # reads every 3, 5 or 1 minutes: that is a step
    pump: Literal["Insulet", "Cozmo"] = "Insulet"
    hours: PositiveInt = Field(24, le=24 * 14)  # of an episode, which begins at midnight
    window: PositiveInt = 20  # readings that are seen, the newest last
    most: PositiveFloat = 5.0  # insulin that can be given, in multiples of what the patient needs without meals


def knows(name: str) -> bool:
    return name in listing()


def listing() -> tuple[str, ...]:
    return tuple(f"{group}#{number:03d}" for group in GROUPS for number in range(1, _EACH + 1))
