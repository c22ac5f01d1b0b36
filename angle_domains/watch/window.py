"""A window for a game, where there is a display."""

import os
import sys
import time
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

from angle_domains.errors import ConfigError
from angle_domains.watch.film import Picture, magnified

_UNSEEN = ("dummy", "offscreen")  # SDL's drivers that draw into memory


def no_window() -> str | None:
    """Why no window can be opened here; None where one can."""
    if find_spec("pygame") is None:
        return "a window needs pygame, `pip install 'angle-domains[play]'`"
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "no display is there (DISPLAY is not set)"
    import pygame

    try:
        pygame.display.init()
    except pygame.error as error:
        return f"no display can be opened ({error})"
    if (driver := pygame.display.get_driver()) in _UNSEEN:
        pygame.display.quit()
        return f"no display can be opened (SDL draws by its driver '{driver}', which nobody sees)"
    return None


def check_display() -> None:
    """ConfigError where no window can be opened here; it says what to do instead."""
    if missing := no_window():
        raise ConfigError(f"--human: {missing}; --video FILE writes a film instead")


class Window:
    """Shows pictures at the pace of the game; closing it ends the showing."""

    def __init__(self, title: str, *, frames_per_second: float) -> None:
        self.title, self.pause = title, 1.0 / frames_per_second
        self.closed = False
        self._screen: Any = None
        self._shown = 0.0

    def __enter__(self) -> Self:
        check_display()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._screen is not None:
            import pygame

            pygame.quit()

    def show(self, picture: Picture) -> None:
        import pygame

        large = magnified(picture)
        if self._screen is None:
            pygame.display.init()
            self._screen = pygame.display.set_mode((large.shape[1], large.shape[0]))
            pygame.display.set_caption(self.title)
        self._screen.blit(pygame.surfarray.make_surface(large.swapaxes(0, 1)), (0, 0))
        pygame.display.flip()
        self.closed = self.closed or any(event.type == pygame.QUIT for event in pygame.event.get())
        time.sleep(max(0.0, self._shown + self.pause - time.monotonic()))
        self._shown = time.monotonic()
