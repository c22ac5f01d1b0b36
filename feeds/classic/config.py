"""The settings of gymnasium's environments, and which names are theirs."""

from typing import Any

from pydantic import Field, PositiveInt

from feeds.settings import Settings

# Names that other feeds prepare in their own way; of ours the worlds whose optimum is known are nobody else's.
_OWN = ("Clinical", "IcuSepsis", "Market", "Records")
_OTHERS = ("ALE/", "MinAtar/", *(f"angle_domains/{name}-" for name in _OWN))


class ClassicConfig(Settings):
    env: str = "CartPole-v1"  # any registered id, or "package.module:Name-v0", which imports the module first
    kwargs: dict[str, Any] = Field({})  # handed to the environment, as `gymnasium.make` would
    max_steps: PositiveInt | None = None  # an episode is truncated then; None: as registered


def knows(name: str) -> bool:
    """Whether gymnasium has the name registered, or a module is named that may register it."""
    if name.startswith(_OTHERS):
        return False
    return ":" in name or name in listing()


def listing() -> tuple[str, ...]:
    """The registered ids."""
    import gymnasium  # here: names are asked for where the command line gives one

    ids = (
        spec.id
        for spec in gymnasium.registry.values()
        if not spec.id.startswith(_OTHERS) and not str(spec.entry_point).startswith("ale_py")
    )
    return tuple(sorted(ids))
