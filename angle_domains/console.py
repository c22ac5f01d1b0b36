"""What a person sees of long work: a progress bar on a terminal, plain lines elsewhere.

Everything goes to standard output through one object, so that lines and the bar do not tear each other. It starts no
thread: the bar is drawn when the work reports, a few times a second at most.
"""

import time
from collections import deque
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

_REDRAW = 0.2  # seconds between drawings of the bar
_SAY = 10.0  # seconds between plain lines
_SPAN = 15.0  # seconds over which the speed is measured
_SHOWN = {"episode/return": "return", "validation/score": "validation"}  # metric: its word on the line


class Progress:
    """Tells of work that counts steps. Between `start` and `close` call `update` as often as you like."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(soft_wrap=True, highlight=False)
        self.live = self.console.is_terminal and not self.console.is_dumb_terminal
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._total = 0
        self._label = ""
        self._began = 0.0
        self._drawn, self._shown = 0.0, -1  # when, and which step
        self._seen: dict[str, float] = {}
        self._past: deque[tuple[float, int]] = deque()

    def start(self, total: int, label: str) -> None:
        """Begins work of `total` steps; work that stands open is closed first."""
        self.close()
        self._total, self._label, self._began = total, label, time.monotonic()
        self._seen.clear()
        self._past.clear()
        self._drawn, self._shown = time.monotonic(), -1
        if self.live:
            columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[told]}"))
            self._bar = Bar(*columns, console=self.console, auto_refresh=False)
            self._bar.start()
            self._task = self._bar.add_task(label, total=total, told="")
        else:
            self.console.print(f"{label}: {total:,} steps")

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """Notes how far the work is; shows it when the last time is long enough ago."""
        now = time.monotonic()
        self._note(now, step)
        for metric, word in _SHOWN.items():
            if metric in metrics:
                self._seen[word] = metrics[metric]
        if now - self._drawn >= (_REDRAW if self.live else _SAY) or "validation/score" in metrics:
            self._show(now, step)

    def line(self, text: str) -> None:
        """Prints a line, above the bar where one is drawn."""
        self.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Ends the work; its last state stays."""
        if self._past and self._past[-1][1] != self._shown:
            self._show(*self._past[-1])
        self._past.clear()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _note(self, now: float, step: int) -> None:
        """Keeps the last seconds' steps, at most a few for each second."""
        if len(self._past) > 1 and now - self._past[-2][0] < _REDRAW:
            self._past.pop()
        self._past.append((now, step))
        while len(self._past) > 2 and now - self._past[0][0] > _SPAN:
            self._past.popleft()

    def _show(self, now: float, step: int) -> None:
        self._drawn, self._shown = now, step
        told = self._told(step)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=step, told=told)
            self._bar.refresh()
        elif not self.live:
            self.console.print(f"{self._label}: {step:,} of {self._total:,} steps  {told}")

    def _told(self, step: int) -> str:
        """Share done, steps per second, return and time left."""
        parts = [f"{min(step / max(self._total, 1), 1.0):4.0%}"]
        speed = self._speed()
        if speed > 0:
            parts.append(f"{speed:,.0f} steps/s")
        parts += [f"{word} {value:.4g}" for word, value in self._seen.items()]
        if speed > 0 and step < self._total:
            parts.append(f"{duration((self._total - step) / speed)} left")
        elif step >= self._total:
            parts.append(f"in {duration(self._past[-1][0] - self._began)}")
        return "  ".join(parts)

    def _speed(self) -> float:
        """Steps per second over the last seconds; 0 while unknown. A resumed run begins in the middle."""
        if len(self._past) < 2:
            return 0.0
        (before, first), (now, last) = self._past[0], self._past[-1]
        return (last - first) / max(now - before, 1e-9)


def duration(seconds: float) -> str:
    """Seconds as 0:42, 12:05 or 3:07:09."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
