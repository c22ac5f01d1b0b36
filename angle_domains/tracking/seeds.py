"""Several seeds as one: what the parent run shows of its children."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

from angle_domains.tracking.base import Status, Tracker
from angle_domains.tracking.gate import MAX_KEYS
from angle_domains.tracking.journal import Journal, read_points
from angle_domains.tracking.links import compare_link, ui_base

LEVEL = 0.95
# Keys with an interval, as far as keys go; of all others the parent shows the mean.
HEADLINES = (
    "test/sharpe",
    "test/cagr",
    "test/max_drawdown",
    "test/excess_sharpe",
    "test/return",
    "test/iqm",
    "test/human_normalised",
    "validation/score",
    "episode/return",
)

Curves = Mapping[str, Mapping[int, float]]  # key -> step -> value


def finish_parent(
    parent: Tracker, children: Sequence[Path], status: Status = "FINISHED", *, mean: bool = True
) -> tuple[str, ...]:
    """Logs the mean over the seeds (run folders) on the parent, with `_low` and `_high` of headlines, and ends it.

    Unless all have FINISHED it logs nothing: a point stands for good, and one of some seeds would stand for all.
    Gives lines for a terminal. Curves are averaged at the steps that all seeds share; a key whose last steps differ
    (a seed stopped early) gets one more point, the mean of its last values, at the latest of them. Without `mean`, of
    runs that differ in more than their seeds, nothing is logged.
    """
    if not mean:
        parent.finish(status)
        return _comparison(children)
    seeds = [known for folder in children if (known := read_points(folder))]
    curves = aggregate(seeds)
    by_step: dict[int, dict[str, float]] = {}
    for key, points in curves.items():
        for step, value in points.items():
            by_step.setdefault(step, {})[key] = value
    for step in sorted(by_step) if status == "FINISHED" else ():
        parent.log(by_step[step], step)
    parent.finish(status)
    newest = {key: points[max(points)] for key, points in curves.items()}
    told = _told(newest, len(seeds)) if status == "FINISHED" else ()
    return (*told, *_comparison(children))


def aggregate(seeds: Sequence[Curves]) -> dict[str, dict[int, float]]:
    """Mean curves of the keys that all seeds have, with the intervals of headlines, `MAX_KEYS` at most.

    The seeds' own `_low` and `_high` are left out: the mean of intervals is no interval.
    """
    shared = sorted(set.intersection(*(set(curves) for curves in seeds))) if seeds else []
    shared = [key for key in shared if key.removesuffix("_low").removesuffix("_high") not in {*shared} - {key}]
    headlines = [key for key in HEADLINES if key in shared] if len(seeds) > 1 else []
    with_bounds = headlines[: max(MAX_KEYS - len(shared), 0) // 2]
    found: dict[str, dict[int, float]] = {}
    for key in (*headlines, *(key for key in shared if key not in headlines)):
        points = _columns([curves[key] for curves in seeds])
        found[key] = {step: fmean(values) for step, values in points.items()}
        if key in with_bounds:
            bounds = {step: mean_interval(values) for step, values in points.items()}
            found[f"{key}_low"] = {step: low for step, (low, _) in bounds.items()}
            found[f"{key}_high"] = {step: high for step, (_, high) in bounds.items()}
    return found


def _told(newest: Mapping[str, float], count: int) -> tuple[str, ...]:
    """A line for each headline."""
    lines = []
    for key in (key for key in HEADLINES if key in newest):
        bounds = [newest[name] for name in (f"{key}_low", f"{key}_high") if name in newest]
        interval = f" [{bounds[0]:.4g}, {bounds[1]:.4g}]" if bounds else ""
        lines.append(f"{key}: {newest[key]:.4g}{interval}, mean of {count} seed{'s' if count != 1 else ''}")
    return tuple(lines)


def _comparison(children: Sequence[Path]) -> tuple[str, ...]:
    """The link to MLflow's comparison of the seeds; none where fewer than two have arrived in the store."""
    journals = [journal for folder in children if (journal := Journal(folder)).exists]
    known = [delivery for journal in journals if (delivery := journal.peek())]
    runs = [delivery.run_id for delivery in known if delivery.run_id]
    experiments = dict.fromkeys(delivery.experiment_id for delivery in known if delivery.experiment_id)
    if len(runs) < 2:
        return ()
    return (f"comparison: {compare_link(ui_base(known[0].uri), runs, list(experiments))}",)


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Student's 95 % interval of the mean over seeds; of at least two values."""
    from scipy.special import stdtrit  # late: a parent is the exception

    mean, count = fmean(values), len(values)
    half = float(stdtrit(count - 1, 0.5 + LEVEL / 2)) * stdev(values) / math.sqrt(count)
    return mean - half, mean + half


def _columns(curves: Sequence[Mapping[int, float]]) -> dict[int, list[float]]:
    """Step -> one value a seed."""
    shared = sorted(set.intersection(*(set(curve) for curve in curves)))
    columns = {step: [curve[step] for curve in curves] for step in shared}
    ends = [max(curve) for curve in curves]
    if len(set(ends)) > 1:
        columns[max(ends)] = [curve[end] for curve, end in zip(curves, ends, strict=True)]
    return columns
