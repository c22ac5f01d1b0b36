"""The report of a portfolio policy: what it earned, beside what anybody could have held, and how sure that is."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from angle_domains.errors import ConfigError
from angle_domains.evaluation import Verdict
from angle_domains.evaluation.bootstrap import LEVEL
from angle_domains.evaluation.comparison import BENCHMARK, Comparison
from angle_domains.evaluation.skill import lucky_sharpe
from angle_domains.evaluation.words import bounds, count, sentence, standing
from angle_domains.report import RunSummary, figures
from angle_domains.report.page import definitions, flatten, forest, paragraph, section, tiles, typeset, write_page
from angle_domains.report.scales import linear
from angle_domains.report.tables import measures_table, months_table, years_table


def write_report(verdict: Verdict, run: RunSummary, path: Path) -> Path:
    """Writes the page of a full verdict; ConfigError where the verdict is quick or the trials were not counted."""
    comparison: Comparison | None = verdict.detail
    if comparison is None:
        raise ConfigError("a report needs a full verdict: Terms(..., full=True)")
    if comparison.trials is None:
        raise ConfigError(
            "a report shows no Sharpe ratio without the number of trials it is the best of: give Terms(..., trials=)"
        )
    labels = (run.agent, *comparison.names[1:])
    sections = [
        headline(comparison, run),
        key_numbers(comparison),
        section("Wealth and drawdown", figures.equity(comparison, labels), name="wealth"),
        differences(comparison, run.agent),
        measures_section(comparison, labels),
        section("Holdings", figures.holdings(comparison.agent), name="holdings"),
        section("Turnover and costs", figures.trading(comparison, labels), name="trading"),
        years_section(comparison, labels),
        section("Rolling Sharpe ratio", figures.rolling(comparison, labels), name="rolling"),
        learning(run),
        *run.beside,
        provenance(comparison, run),
    ]
    return write_page(Path(path), f"{run.name}: {run.agent} on {run.feed}", [part for part in sections if part])


def headline(comparison: Comparison, run: RunSummary) -> str:
    """Name, dates and source; the verdict in words; what a reader must know of the data."""
    style = standing(comparison.difference("sharpe"))
    seeds = f" · seed{'s' * (len(run.seeds) != 1)} {', '.join(map(str, run.seeds))}" if run.seeds else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in _notes(comparison))
    return (
        f"<header><h1>{escape(run.name)}</h1>"
        f'<p class="kicker">{escape(run.agent)} on {escape(run.feed)}{seeds} · {escape(comparison.split)} part, '
        f"{_dates(comparison)}, {len(comparison.agent.timestamp):,} bars · "
        f"{count(len(comparison.agent.symbols), 'asset')} from {escape(comparison.source)}</p>"
        f'<div class="verdict {style}" id="verdict"><p>{typeset(sentence(comparison))}</p>'
        f"{f'<ul>{notes}</ul>' if notes else ''}</div></header>"
    )


def _notes(comparison: Comparison) -> list[str]:
    ruined = [f"{path.name} was ruined before the end of the part" for path in comparison.paths if path.ruined]
    return [*comparison.notes, *ruined]


def key_numbers(comparison: Comparison) -> str:
    own, names = comparison.measures[0], comparison.names
    over, benchmark = comparison.difference("sharpe"), comparison.measures[names.index(BENCHMARK)]
    assert comparison.trials is not None
    return tiles(
        [
            ("Sharpe ratio", f"{own['sharpe']:.2f}", bounds(comparison.interval("sharpe", names[0]))),
            (f"Less {BENCHMARK}", f"{over.estimate:+z.2f}", bounds(over, "+z.2f")),
            ("CAGR", _percent(own["cagr"]), f"{BENCHMARK} {_percent(benchmark['cagr'])}"),
            ("Maximum drawdown", _percent(own["max_drawdown"]), f"{BENCHMARK} {_percent(benchmark['max_drawdown'])}"),
            ("Turnover a year", f"{own['turnover']:.1f}×", f"costs {own['cost_drag']:.2%} a year"),
            ("Deflated Sharpe", _number(own["dsr"]), f"after {count(comparison.trials.count, 'trial')}"),
        ]
    )


def differences(comparison: Comparison, agent: str) -> str:
    """Paired differences to every baseline, Sharpe ratio and growth."""
    parts = []
    for measure, title, form, beside in (
        ("sharpe", "Sharpe ratio", ".1f", "+z.2f"),
        ("cagr", "CAGR", ".0%", "+z.1%"),
    ):
        found = {name: comparison.difference(measure, name) for name in comparison.names[1:]}
        reach = np.array([[row.low, row.high] for row in found.values()])
        rows = [(f"to {name}", row, f"{row.estimate:{beside}} {bounds(row, beside)}") for name, row in found.items()]
        scale = linear(reach, zero=True, count=5)
        parts.append(f"<p><b>Difference in {title}</b></p>" + forest(rows, scale.ticks, form))
    text = (
        f"{agent} less each baseline on the same resampled bars, so that what the market did cancels out. "
        f"Dot: as observed; bar: {LEVEL:.0%} interval. A bar that crosses zero shows no difference."
    )
    return section("Is it better?", paragraph(text), *parts, name="differences")


def measures_section(comparison: Comparison, labels: Sequence[str]) -> str:
    """Everything measured, side by side, and how the intervals were made."""
    resamples, trials = comparison.resamples, comparison.trials
    assert trials is not None
    path = comparison.agent
    lucky = lucky_sharpe(len(path.timestamp), trials, path.periods_per_year) * np.sqrt(path.periods_per_year)
    spread = "the spread of their Sharpe ratios" if trials.known else "the standard error of a skill-less Sharpe ratio"
    text = (
        f"All portfolios hold the same universe on the same dates at the same costs and clock ({comparison.clock}). "
        f"Small numbers: {LEVEL:.0%} intervals of the stationary block bootstrap, {resamples.count:,} resamples, mean "
        f"block {resamples.block:.1f} bars. The risk-free rate is what cash earns. The deflated Sharpe ratio is the "
        f"probability that the true one is above {lucky:.2f}, which the best of {count(trials.count, 'trial')} without "
        f"skill would be expected to show, by {spread}."
    )
    return section("Measures", measures_table(comparison, labels), paragraph(text), name="measures")


def years_section(comparison: Comparison, labels: Sequence[str]) -> str:
    return section(
        "Year by year",
        years_table(comparison, labels),
        f"<p><b>Net return of {escape(labels[0])} by month</b></p>",
        months_table(comparison.agent),
        name="years",
    )


def learning(run: RunSummary) -> str:
    """The score on validation over training; nothing where none is known."""
    if len(run.curve) < 2:
        return ""
    return section("Learning", figures.learning_curve(run.curve), name="learning")


def provenance(comparison: Comparison, run: RunSummary) -> str:
    """Where every number comes from, for whoever wants to make them again."""
    trials = comparison.trials
    assert trials is not None
    facts = {
        "data": comparison.source,
        "data digest": comparison.digest,
        "test part": _opened(comparison, run),
        "trials": f"{trials.count:,}, this run included",
        "training": f"{run.steps:,} steps in {run.seconds:,.0f} s, {run.steps_per_second:,.0f} steps a second",
        **run.provenance,
    }
    links = "".join(f'<p><a href="{escape(address)}">{escape(name)}</a></p>' for name, address in run.links.items())
    config = f"<details><summary>Configuration</summary>{definitions(flatten(run.config))}</details>"
    return section("Provenance", definitions(facts), links, config if run.config else "", name="provenance")


def _opened(comparison: Comparison, run: RunSummary) -> str:
    if run.test_openings:
        return f"opened {'once' if run.test_openings == 1 else count(run.test_openings, 'time')} for this run"
    return "openings were not recorded" if comparison.split == "test" else "not opened for this run"


def _dates(comparison: Comparison) -> str:
    path = comparison.agent
    return f"{path.timestamp[0].astype('datetime64[D]')} to {path.timestamp[-1].astype('datetime64[D]')}"


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"
