"""Ctrl-C and SIGTERM as a wish that the trainer reads between two updates."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self


class StopSignal:
    """While entered, the first SIGINT or SIGTERM is noted in `caught`; a second SIGINT interrupts at once."""

    def __init__(self) -> None:
        self.caught: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that a signal stopped."""
        return 128 + self.caught if self.caught else 0

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.caught and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.caught = number
