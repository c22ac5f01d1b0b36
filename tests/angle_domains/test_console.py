"""Progress: a bar on a terminal, plain lines elsewhere, speeds that a resumed run does not spoil."""

import io

import pytest
from rich.console import Console

from angle_domains import console as module
from angle_domains.console import Progress, duration


class Clock:
    """Time that moves when told."""

    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(module, "time", fake)
    return fake


def progress(*, terminal: bool) -> tuple[Progress, io.StringIO]:
    out = io.StringIO()
    kind = "xterm-256color" if terminal else "dumb"
    return Progress(Console(file=out, force_terminal=terminal, width=140, _environ={"TERM": kind})), out


def test_plain_lines_without_a_terminal(clock: Clock) -> None:
    bar, out = progress(terminal=False)
    bar.start(1_000, "run")
    for step in range(0, 1_001, 10):
        bar.update(step, {"episode/return": step / 1_000})
        clock.now += 0.25
    bar.close()
    lines = out.getvalue().splitlines()
    assert lines[0] == "run: 1,000 steps"
    assert lines[1] == "run: 400 of 1,000 steps   40%  40 steps/s  return 0.4  0:15 left"
    assert lines[-1] == "run: 1,000 of 1,000 steps  100%  40 steps/s  return 1  in 0:25"
    assert len(lines) == 4  # the head, one every ten seconds, the last at the end
    assert "\x1b" not in out.getvalue()


def test_evaluations_are_told_at_once(clock: Clock) -> None:
    bar, out = progress(terminal=False)
    bar.start(100, "run")
    bar.update(50, {"validation/score": 0.125})
    assert out.getvalue().splitlines()[-1] == "run: 50 of 100 steps   50%  validation 0.125"
    bar.close()
    assert len(out.getvalue().splitlines()) == 2


def test_a_resumed_run_measures_its_own_speed(clock: Clock) -> None:
    bar, out = progress(terminal=False)
    bar.start(1_000_000, "run")
    bar.update(900_000, {})
    clock.now += 10.0
    bar.update(900_100, {})
    assert "10 steps/s" in out.getvalue()
    assert "2:46:30 left" in out.getvalue()


def test_a_bar_on_a_terminal(clock: Clock) -> None:
    bar, out = progress(terminal=True)
    bar.start(100, "run")
    for step in (0, 50, 100):
        clock.now += 1.0
        bar.update(step, {"episode/return": 2.0})
    bar.line("a line with [brackets]")
    bar.close()
    said = out.getvalue()
    assert "━" in said
    assert "50 steps/s" in said
    assert "return 2" in said
    assert "a line with [brackets]" in said
    assert said.endswith("\x1b[?25h")  # the cursor is back


def test_a_dumb_terminal_gets_lines() -> None:
    out = io.StringIO()
    bar = Progress(Console(file=out, force_terminal=True, _environ={"TERM": "dumb"}))
    bar.start(10, "run")
    assert not bar.live
    assert out.getvalue() == "run: 10 steps\n"


def test_close_twice_and_start_again(clock: Clock) -> None:
    bar, out = progress(terminal=False)
    bar.close()
    bar.start(10, "first")
    bar.update(10, {})
    bar.close()
    bar.close()
    bar.start(20, "second")
    bar.close()
    assert out.getvalue().splitlines() == [
        "first: 10 steps",
        "first: 10 of 10 steps  100%  in 0:00",
        "second: 20 steps",
    ]


@pytest.mark.parametrize(("seconds", "told"), [(0.4, "0:00"), (42, "0:42"), (725, "12:05"), (11_229, "3:07:09")])
def test_durations(seconds: float, told: str) -> None:
    assert duration(seconds) == told
