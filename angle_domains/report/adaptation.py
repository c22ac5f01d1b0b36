"""The page of how fast a run's models adapt to what they never saw."""

from pathlib import Path

import numpy as np

from angle_domains.outlook.adapting import Curve
from angle_domains.report.banner import banner
from angle_domains.report.charts import Frame, Line, lines
from angle_domains.report.page import Row, paragraph, section, table, write_page
from angle_domains.report.scales import Axis, linear


def write_adaptation(curve: Curve, path: Path, run: str, feed: str) -> Path:
    """The page of an adaptation curve."""
    return write_page(path, f"{run}: how fast it adapts", [adaptation(curve, run, feed)])


def adaptation(curve: Curve, run: str, feed: str) -> str:
    """Errors over what was given to adapt to, drawn and in numbers; feeds of patients say that it is research."""
    of_patients = f"<p>{said}</p>" if (said := banner([feed])) else ""
    size = np.array(curve.sizes)
    axis = Axis(size / size[-1], np.array([f"{s:g} {curve.unit}" for s in size]),
                tuple((float(s / size[-1]), f"{s:g}") for s in size))  # fmt: skip
    learned, scratch = (np.array([[p.estimate, p.low, p.high] for p in side]) for side in (
        [point.learned for point in curve.points], [point.scratch for point in curve.points]
    ))  # fmt: skip
    everything = np.concatenate([learned, scratch, np.ones((1, 3))])
    frame = Frame("Error against the last value", f"1: no better than it; over {curve.unit} to adapt to", axis,
                  linear(everything, count=5), lambda value, digits: f"{value:.{max(digits, 2)}f}", 3)  # fmt: skip
    series = [
        *(() if curve.untaught else (Line("learned prior", learned[:, 0], "s0"),)),
        Line("from nothing", scratch[:, 0], "s1"),
        Line("the last value", np.ones(len(size)), "s2"),
    ]
    shown = ("from nothing",) if curve.untaught else ("learned prior", "from nothing")
    rows: list[Row] = [
        (f"{s:g} {curve.unit}", f"{p.rows:,}", *(f"{e.estimate:.3f} [{e.low:.3f}, {e.high:.3f}]"
                                                 for e in (p.learned, p.scratch)[-len(shown):]))
        for s, p in zip(curve.sizes, curve.points, strict=True)
    ]  # fmt: skip
    text = (
        f"{curve.tasks} tasks that overlap nowhere; intervals of 95 % are over tasks. Squared errors one tick ahead, "
        "as a share of those of staying at the last value."
    )
    return section(
        f"{run}: how fast it adapts", of_patients,
        paragraph(f"{curve.sentence[0].upper()}{curve.sentence[1:]}.", "verdict"),
        lines(frame, series), table(("support", "rows", *shown), rows, own=2),
        paragraph(text), name="adaptation",
    )  # fmt: skip
