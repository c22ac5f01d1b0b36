"""The report of an agent that plays a game: how well, how surely, beside chance and, where known, people."""

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from itertools import pairwise
from pathlib import Path

import numpy as np

from angle_domains.errors import ConfigError
from angle_domains.evaluation import Verdict
from angle_domains.evaluation.bootstrap import LEVEL, Interval
from angle_domains.evaluation.games import GameScores, sentence, standing, told_cut, within
from angle_domains.evaluation.scores import RESAMPLES, interquartile_mean
from angle_domains.evaluation.words import count
from angle_domains.report import RunSummary
from angle_domains.report.banner import banner
from angle_domains.report.charts import Frame, Line, bars, lines
from angle_domains.report.page import (
    definitions,
    flatten,
    forest,
    paragraph,
    section,
    table,
    tiles,
    typeset,
    write_page,
)
from angle_domains.report.scales import Axis, linear, step_axis

_MEASURES = {"mean": "Mean", "median": "Median", "iqm": "Interquartile mean"}
_BARS = 24


def write_report(verdict: Verdict, run: RunSummary, path: Path) -> Path:
    """Writes the page of a full verdict; ConfigError where the verdict is quick."""
    found: GameScores | None = verdict.detail
    if found is None:
        raise ConfigError("a report needs a full verdict: Terms(..., full=True)")
    sections = [
        headline(found, run),
        key_numbers(found, run),
        measures(found, run.agent),
        section("Returns", histogram(found), name="returns"),
        learning(run),
        strata(found),
        *run.beside,
        provenance(found, run),
    ]
    return write_page(Path(path), f"{run.name}: {run.agent} on {found.name}", [part for part in sections if part])


def headline(found: GameScores, run: RunSummary) -> str:
    """Name and protocol in a line, and the verdict in words."""
    told = f" · {said}" if (said := banner([run.feed])) else ""
    cut = paragraph(f"{told_cut(found.cut, np.concatenate(found.lengths))}.") if found.cut else ""
    return (
        f"<header><h1>{escape(run.name)}</h1>"
        f'<p class="kicker">{escape(run.agent)} on {escape(found.name)} · {escape(found.split)} part, '
        f"{count(found.episodes, 'whole episode')} under seeds that training never saw{told}</p>"
        f'<div class="verdict {standing(found)}" id="verdict"><p>{typeset(sentence(found))}</p>{cut}</div>'
        "</header>"
    )


def key_numbers(found: GameScores, run: RunSummary) -> str:
    own, length = found.intervals, np.concatenate(found.lengths)
    entries = [
        ("Mean return", f"{own['mean'].estimate:.4g}", within(own["mean"])),
        ("Interquartile mean", f"{own['iqm'].estimate:.4g}", within(own["iqm"])),
        ("Median", f"{own['median'].estimate:.4g}", within(own["median"])),
        ("Random play", f"{found.chance.mean():.4g}", count(len(found.chance), "episode")),
        ("Trained", f"{run.steps:,}", f"steps, {run.steps_per_second:,.0f} a second"),
        ("Length", f"{length.mean():,.0f}", f"{length.min():,} to {length.max():,} steps"),
    ]
    if found.human_normalised is not None:
        low, high = found.reference["random"], found.reference["human"]
        entries.append(
            ("Human-normalised", f"{found.human_normalised:.0%}", f"published: random {low:g}, human {high:g}")
        )
    return tiles(entries)


def measures(found: GameScores, agent: str) -> str:
    """The three centres with their intervals, and those of chance."""
    luck = found.chance
    points = {"mean": luck.mean(), "median": np.median(luck), "iqm": interquartile_mean(luck)}
    rows = [(title, found.intervals[name], _beside(found.intervals[name])) for name, title in _MEASURES.items()]
    rows += [
        (f"{title}, random play", _point(float(points[name])), f"{points[name]:.4g}")
        for name, title in _MEASURES.items()
    ]
    reach = np.array([[row.low, row.high] for _, row, _ in rows])
    scale = linear(reach, count=5)
    text = (
        f"Dot: of all episodes of {agent}; bar: {LEVEL:.0%} interval of a bootstrap that resamples episodes within "
        f"each seed, {RESAMPLES:,} resamples. It speaks of the luck of the episodes, not of that of training: for the "
        "latter train several seeds and compare them."
    )
    return section("How good?", paragraph(text), forest(rows, scale.ticks, ".4g"), name="measures")


def _beside(interval: Interval) -> str:
    return f"{interval.estimate:.4g} {within(interval)}"


def _point(value: float) -> Interval:
    return Interval(value, value, value, float(value > 0.0))


def histogram(found: GameScores) -> str:
    """How the returns of episodes are spread."""
    returns = np.concatenate(found.returns)
    low, high = float(returns.min()), float(returns.max())
    if high - low < 1e-9:
        return paragraph(f"Every episode returned {low:g}.")
    whole = high - low < _BARS and not (returns % 1).any()  # one bar for each return that there can be
    number, edges = np.histogram(returns, np.arange(low - 0.5, high + 1) if whole else _bins(len(returns)))
    low, high = float(edges[0]), float(edges[-1])
    scale = linear(edges, count=6)
    shown = [t for t in scale.ticks if low <= t <= high and not (whole and t % 1)]
    ticks = tuple(((t - low) / (high - low), f"{t:,.4g}") for t in shown)
    names = np.array([f"{a + 0.5:.4g}" if whole else f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges)])
    axis = Axis((edges[:-1] - low) / (high - low), names, ticks)
    counts = linear(number, zero=True, count=4)
    frame = Frame(
        "Episodes by return",
        "episodes",
        axis,
        replace(counts, ticks=tuple(tick for tick in counts.ticks if not tick % 1)),
        _whole,
        0,
        size="middle",
        legend=False,
    )
    return bars(frame, number.astype(float), "s0")


def _bins(episodes: int) -> int:
    return min(_BARS, max(5, episodes // 3))


def learning(run: RunSummary) -> str:
    """The mean return on validation over training; nothing where none is known."""
    if len(run.curve) < 2:
        return ""
    step, score = np.array([point for point, _ in run.curve]), np.array([value for _, value in run.curve])
    frame = Frame(
        "Mean return on validation", "return over environment steps", step_axis(step), linear(score, count=4), _short,
        4, size="middle", legend=False,
    )  # fmt: skip
    chart = lines(frame, [Line("return", score, "s0")], mark=(int(score.argmax()), "best"))
    return section("Learning", chart, name="learning")


def strata(found: GameScores) -> str:
    """Every seed of the episodes on a line of its own."""
    rows: list[Sequence[str]] = [
        (
            f"seed {seed}",
            f"{len(r):,}",
            f"{r.mean():.4g}",
            f"{r.std():.3g}",
            f"{r.min():.4g}",
            f"{r.max():.4g}",
            f"{n.mean():,.0f}",
        )
        for seed, r, n in zip(found.seeds, found.returns, found.lengths, strict=True)
    ]
    head = ("episodes of", "number", "mean", "deviation", "lowest", "highest", "length")
    return section("Seed by seed", table(head, rows, own=2), name="seeds")


def provenance(found: GameScores, run: RunSummary) -> str:
    """How it was played and trained, for whoever wants to do it again."""
    protocol = {f"protocol: {name.replace('_', ' ')}": str(value) for name, value in found.protocol.items()}
    facts = {
        **protocol,
        "training": f"{run.steps:,} steps in {run.seconds:,.0f} s, {run.steps_per_second:,.0f} steps a second",
        "seed of training": ", ".join(map(str, run.seeds)),
        **run.provenance,
    }
    links = "".join(f'<p><a href="{escape(address)}">{escape(name)}</a></p>' for name, address in run.links.items())
    config = f"<details><summary>Configuration</summary>{definitions(flatten(run.config))}</details>"
    return section("Provenance", definitions(facts), links, config if run.config else "", name="provenance")


def _whole(value: float, digits: int) -> str:
    return f"{value:,.0f}"


def _short(value: float, digits: int) -> str:
    return f"{value:,.4g}"
