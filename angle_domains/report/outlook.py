"""Pages and sections of what the models beside an agent foresee."""

from collections.abc import Sequence
from html import escape

import numpy as np

from angle_domains.evaluation.words import count
from angle_domains.outlook.study import FEWEST_EVENTS, Example, Group, Study
from angle_domains.outlook.volatility import Asset
from angle_domains.report.charts import Frame, Line, fan, lines
from angle_domains.report.page import Cell, Row, definitions, paragraph, section, table, tiles
from angle_domains.report.scales import Axis, linear, step_axis, time_axis
from metalearn.forecasting.skill import Skill
from metalearn.risk.judgement import Alarms, RiskJudgement

_MOST = 24  # lines of a table of forecasts; the others fold away


def foreseen(found: Study) -> tuple[str, ...]:
    """The sections of a run's page."""
    moves = (volatilities(found.volatility),) if found.volatility else ()
    return (forecasts(found), *moves, risks(found), served(found))


def forecasts(found: Study) -> str:
    """Whether anything was foreseen, one entry as an example, and every entry in numbers."""
    if not found.groups:
        return section("Forecasts", paragraph("Nothing in the observations moves: there is nothing to foresee."))
    skilled = [group for group in found.groups if group.naive.found]
    if skilled:
        best = max(skilled, key=lambda group: group.naive.better)
        told = (
            f"{len(skilled)} of {len(found.groups)} forecasts are better than naive ones beyond chance, where about "
            f"{0.025 * len(found.groups):.1f} would be by luck alone; most so {best.name}, {best.ahead} ahead: "
            f"{best.naive.verdict.removeprefix('skill: ')}."
        )
    else:
        told = f"No skill: none of {len(found.groups)} forecasts is better than a naive one beyond chance."
    returns = next((group for group in found.groups if group.name.endswith("log_return_1") and group.ahead == 1), None)
    if returns is not None:
        told += (
            f" The return of the next bar: {returns.naive.verdict}. Indicators over many past bars share most of them "
            "with the next: that they can be foreseen follows from that, and is no edge."
        )
    text = (
        f"The forecaster is {found.kind}; {count(found.rows, 'row')} in {count(found.episodes, 'episode')} of this "
        "part, of which it learned nothing. The naive forecast is the better of the last value and the mean of "
        "training, seen with hindsight. MASE and pinball loss: as a share of its loss, below 1 is better; the interval "
        "is of how much better, resampled by episodes or blocks of time. Width: of the 80 % interval, in how far an "
        "entry moves in a tick."
    )
    head = ["entry", "ahead", "verdict", "MASE", "better by", "against", "pinball", "80 % covers", "width"]
    compared = any(group.ridge is not None for group in found.groups)
    best_first = sorted(found.groups, key=lambda group: -group.naive.better)
    rows = [_forecast_row(group, compared=compared) for group in best_first]
    head += ["against ridge"] if compared else []
    rest = f"<details><summary>{len(rows) - _MOST} more</summary>{table(head, rows[_MOST:], own=2)}</details>"
    return section(
        "Forecasts",
        paragraph(told, "verdict"),
        "" if found.example is None else _drawn(found.example),
        table(head, rows[:_MOST], own=2),
        rest if len(rows) > _MOST else "",
        paragraph(text),
        name="forecasts",
    )


def _forecast_row(group: Group, *, compared: bool) -> Row:
    naive = group.naive
    word = "leak?" if naive.alarm else "skill" if naive.found else "no skill"
    row: list[str | Cell] = [
        group.name, str(group.ahead), word, f"{naive.mase:.3f}", Cell(_percent(naive.better), _reach(naive)),
        naive.naive, f"{group.pinball:.3f}", f"{group.coverage:.1%}", f"{group.width:.2f}",
    ]  # fmt: skip
    if compared:
        ridge = group.ridge
        row.append("–" if ridge is None else Cell(_percent(ridge.better), _reach(ridge)))
    return row


def _percent(share: float) -> str:
    return f"{100.0 * share:+.1f} %"


def _reach(found: Skill) -> str:
    if not np.isfinite(found.low):
        return "too few rows"
    return f"[{100.0 * found.low:+.1f}, {100.0 * found.high:+.1f}]"


def _drawn(example: Example) -> str:
    dated = example.when.dtype.kind == "M"
    axis = time_axis(example.when) if dated else step_axis(np.arange(1, len(example.when) + 1))
    scale = linear(np.stack([example.came, example.low, example.high]), count=5)
    frame = Frame(
        f"{example.name}: foreseen and come", "the first horizon ahead; shaded: the interval of 80 %", axis, scale,
        _short, 4, size="middle",
    )  # fmt: skip
    came, median = Line("came", example.came, "s1"), Line("foreseen", example.median, "s0")
    return fan(frame, came, median, example.low, example.high)


def volatilities(assets: Sequence[Asset]) -> str:
    """How well it is foreseen how far prices move tomorrow, beside GARCH, asset by asset."""
    parts = []
    for asset in assets:
        rows: list[Row] = [
            (
                model.name, f"{model.qlike:.3f}", f"{model.qlike_of_ranges:.3f}",
                "–" if (other := model.against_garch) is None else f"t {other.statistic:+.1f}, p {other.p:.2g}",
                f"{model.pinball:.4f}", f"{model.hits.share:.1%}", f"{model.hits.kupiec:.2f}",
                f"{model.hits.independence:.2f}",
            )
            for model in asset.models
        ]  # fmt: skip
        head = ("model", "QLIKE of returns", "of ranges", "against GARCH", "pinball 5 %", "beyond VaR", "Kupiec p",
                "Christoffersen p")  # fmt: skip
        parts.append(f"<p><b>{escape(asset.symbol)}</b>, {asset.days:,} days</p>" + table(head, rows, own=-1))
    text = (
        "One day ahead, each forecast made at the close before, each fit on earlier days alone. QLIKE: lower is "
        "better; against GARCH: Diebold and Mariano's t of QLIKE of ranges, below 0 better. Beyond VaR: days on which "
        "the loss went beyond the value at risk of 5 %; Kupiec's p is of their number, Christoffersen's of their "
        "independence: below 0.05 the value at risk does not hold."
    )
    return section("Volatility", *parts, paragraph(text), name="volatility")


def risks(found: Study) -> str:
    """Whether events are told from the rest, whether chances hold, and what alarms would cost."""
    risk = found.risk
    if risk is None or risk.events < FEWEST_EVENTS or not len(risk.roc):
        events = "No event" if risk is None or not risk.events else count(risk.events, "event")
        told = f"{events} in {count(found.rows, 'row')} of this part: too few to judge a detector of risk by."
        return section("Risk", paragraph(told, "verdict"), name="risk")
    measures = risk.measures
    told = (
        f"Of the {found.risk_horizon} rows ahead: a row before an event scores above another in "
        f"{measures.auroc:.1%} of pairs (AUROC), where chance gives 50 %."
    )
    reach = "one episode tells of all" if found.episodes == 1 else "episodes are few"
    if found.auroc is not None:
        reach = f"[{found.auroc[0]:.3f}, {found.auroc[1]:.3f}]"
        if found.auroc[0] <= 0.5:
            told += " Its interval includes chance: no skill."
    if measures.brier_skill <= 0.0:
        told += " Its chances are no better than the share of events itself: no skill."
    alarm = ""
    if found.telltales:
        named = ", ".join(f"{name} ({area:.3f})" for name, area in found.telltales.items())
        alarm = paragraph(
            f"Alarm: alone these tell events from the rest, look whether they are known in time: {named}."
        )
    return section(
        "Risk",
        paragraph(told, "verdict"),
        alarm,
        tiles(
            [
                ("AUROC", f"{measures.auroc:.3f}", reach),
                ("Events", f"{risk.events:,}", f"in {count(found.episodes, 'episode')}"),
                ("AUPRC", f"{measures.auprc:.3f}", f"prevalence {measures.prevalence:.3f}"),
                ("Brier skill", f"{measures.brier_skill:+.3f}", "against the share of events"),
                ("Calibration error", f"{measures.ece:.3f}", "mean of bins of equal size"),
            ]
        ),
        _roc(risk),
        _precision(risk),
        _reliability(risk),
        _benefit(risk),
        "" if risk.alarms is None else _alarms(risk.alarms, found.unit),
        name="risk",
    )


def _unit_axis(position: np.ndarray, called: str) -> Axis:
    """From 0 to 1, or as far as the positions reach where that is less than a half."""
    top = 1.0 if position.max() > 0.5 else max(float(position.max()), 1e-9)
    ticks = tuple((tick / top, f"{tick:.4g}") for tick in linear(np.array([0.0, top]), count=5).ticks if tick <= top)
    return Axis(position / top, np.array([f"{called} {value:.3f}" for value in position]), ticks)


def _roc(risk: RiskJudgement) -> str:
    false, hit = risk.roc.numpy().T
    axis, scale = _unit_axis(false, "false alarms"), linear(np.array([0.0, 1.0]), count=4)
    frame = Frame("Events found over false alarms", "share of rows before events (ROC)", axis, scale, _share, 3,
                  size="middle")  # fmt: skip
    return lines(frame, [Line("detector", hit, "s0"), Line("chance", false, "s2")])


def _precision(risk: RiskJudgement) -> str:
    reached, precision = risk.precision_recall.flip(0).numpy().T
    base = np.full(len(reached), risk.measures.prevalence)
    frame = Frame("Alarms that are right over events found", "precision over recall", _unit_axis(reached, "recall"),
                  linear(np.array([0.0, 1.0]), count=4), _share, 3, size="middle")  # fmt: skip
    return lines(frame, [Line("detector", precision, "s0"), Line("prevalence", base, "s2")])


def _reliability(risk: RiskJudgement) -> str:
    told, came = (np.array([getattr(each, side) for each in risk.reliability]) for side in ("told", "came"))
    frame = Frame("Whether chances hold", "share of events over the chance told, bins of equal size",
                  _unit_axis(told, "told"), linear(np.concatenate([told, came, [0.0]]), count=4), _share, 3,
                  size="middle")  # fmt: skip
    return lines(frame, [Line("came", came, "s0"), Line("as told", told, "s2")])


def _benefit(risk: RiskJudgement) -> str:
    threshold, model, always = (
        np.array([getattr(each, side) for each in risk.decision]) for side in ("threshold", "model", "always")
    )
    always = np.maximum(always, -0.1)  # what falls further says no more
    frame = Frame("Net benefit", "of acting at a chance, as a share of rows; never to act has 0",
                  _unit_axis(threshold, "acting at"), linear(np.concatenate([model, always]), zero=True, count=4),
                  _share, 4, size="middle")  # fmt: skip
    return lines(frame, [Line("by the detector", model, "s0"), Line("always", always, "s1")])


def _alarms(alarms: Alarms, unit: str) -> str:
    lead = alarms.lead.numpy()
    late = f"{np.median(lead):.1f} {unit}" if len(lead) else "none"
    facts = {
        "threshold": f"{alarms.threshold:.3f}",
        "events announced": f"{alarms.recall:.0%}",
        "alarms that an event followed": f"{alarms.precision:.1%}",
        f"alarms in 24 {unit}": f"{alarms.per_day:.2f}",
        "median time from first alarm to event": late,
    }
    return "<p><b>Alarms at a recall of 80 %</b></p>" + definitions(facts)


def served(found: Study) -> str:
    """What the models gave the agent, and what a shield would have done."""
    facts = dict(found.serving)
    if found.shield:
        facts |= {
            "a shield would have forbidden": f"{found.shield['shield/would_forbid']:.1%} of what was done",
            "rows with nothing safe": f"{found.shield['shield/nothing_safe']:.1%}",
            "events that it would have missed": f"{found.shield['shield/missed']:.0%}",
        }
    text = (
        "Whether any of it helps is seen by runs with and without it, over several seeds: `train` several with their "
        "switches swept, and `compare` them."
    )
    return section("What the models gave the agent", definitions(facts), paragraph(text), name="served")


def _share(value: float, digits: int) -> str:
    return f"{value:.{max(digits, 2)}f}"


def _short(value: float, digits: int) -> str:
    return f"{value:.4g}"
