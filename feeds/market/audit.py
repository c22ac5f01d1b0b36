"""The whole report on a set of prices: `angle-domains feeds check PATH`."""

from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from feeds.findings import CheckReport, count
from feeds.market.bars import Bars
from feeds.market.config import MarketConfig
from feeds.market.features import Features
from feeds.market.feed import MarketFeed
from feeds.market.future import Trial, future_trials
from feeds.market.raw_future import RawProof, raw_trials
from feeds.market.read import read_bars
from feeds.split import Part

_SHOWN = 40  # features that are told one by one


class Audit(NamedTuple):
    """The report as text, and whether training on these data would start and look nowhere ahead."""

    text: str
    accepted: bool


def check(path: str, config: MarketConfig) -> Audit:
    """What was read, every finding, splits, features, and the proof that nothing looks ahead.

    Rows that break a rule do not stop the report: under the policy "error" it goes on without them and says so. What
    makes a table unreadable (missing columns, truncated files, …) is a FeedError all the same.
    """
    config = config.model_copy(update={"path": path})
    strict = config.policy == "error"
    used = config.model_copy(update={"policy": "quarantine"}) if strict else config
    bars, report = read_bars(used)
    feed = MarketFeed(used, bars=bars)
    lines = [replace(report, policy=config.policy).text(), *_verdict(report, strict), *_universe(bars)]
    lines += _splits(feed.parts, bars, used)
    lines += _features(feed.features, feed.parts["train"])
    trials = future_trials(used, bars, lambda settings, prices: MarketFeed(settings, bars=prices))
    raw = None if path.startswith("synthetic-") else raw_trials(used, bars)  # a world is made, there is nothing to read
    lines += proof(trials, bars, raw)
    refused = strict and any(report.counts.values())
    passed = all(trial.passed for trial in (*trials, *(raw.trials if raw else ())))
    return Audit("\n".join(lines), passed and not refused)


def _verdict(report: CheckReport, strict: bool) -> list[str]:
    found = sum(report.counts.values())
    if strict and found:
        said = f"refused: {count(found, 'finding')} under feed.policy=error; what follows leaves those rows out"
    else:
        said = f"accepted with {count(found, 'finding')}" if found else "accepted"
    return [f"verdict   {said}"]


def _universe(bars: Bars) -> list[str]:
    listed = bars.listed.sum(axis=1)
    missing = int((bars.listed & ~bars.tradable).sum())
    return [
        f"universe  {listed[0]} listed at the first bar, {listed[-1]} at the last, {int(listed.max())} at most; "
        f"{missing:,} missing bars of {int(listed.sum()):,}",
        f"digest    sha256 {bars.digest}",
    ]


def _splits(parts: dict[str, Part], bars: Bars, config: MarketConfig) -> list[str]:
    lines = []
    for name, part in parts.items():
        first, last = (str(bars.timestamp[bar])[:10] for bar in (part.start, part.stop - 1))
        lines.append(f"split     {name}: {len(part):,} bars from {first} to {last}")
    horizon = config.rebalance_every * config.holding
    gaps = [
        f"{later.start - part.stop} between {name} and {after}"
        for (name, part), (after, later) in pairwise(sorted(parts.items(), key=lambda item: item[1].start))
    ]
    why = f"embargo {config.splits.embargo} bars, labels of {horizon} bars"
    return [*lines, f"split     left out: {', '.join(gaps)} ({why})"]


def _features(features: Features, train: Part) -> list[str]:
    names = [*features.names, *features.shared_names]
    lines = [f"features  {len(names)}, whole from bar {features.first} on; scaler {features.scaler.digest()[:16]}"]
    known = features.known[train.slice]
    for index, name in enumerate(features.names[:_SHOWN]):
        mean, scale = features.scaler.mean[index], features.scaler.scale[index]
        share = float(np.mean(known[..., index]))
        lines.append(f"            {name}: train mean {mean:.4g}, deviation {scale:.4g}, known {share:.1%}")
    if len(features.names) > _SHOWN:
        lines.append(f"            and {len(features.names) - _SHOWN} more")
    if features.shared_names:
        lines.append(f"            of all assets: {', '.join(features.shared_names[:_SHOWN])}")
    return lines + [f"note      {note}" for note in features.notes]


def proof(trials: list[Trial], bars: Bars, raw: RawProof | None = None) -> list[str]:
    """The lines that tell what the changed futures showed, of bars that were read and of raw rows."""
    lines = []
    for trial in trials:
        scaled = "" if trial.scaled else ", unscaled"
        lines.append(f"future    {trial.split}, everything after {_at(bars, trial)} changed{scaled}: {_told(trial)}")
    if raw:
        symbols, length = raw.bars.shape[1], raw.bars.shape[0]
        of = (
            f"all symbols ({symbols})"
            if symbols == raw.symbols
            else f"a sample of {symbols} of {raw.symbols:,} symbols"
        )
        sides = ", and of side tables" if raw.sides else ""
        lines.append(f"raw       rows of {of} over {length:,} bars{sides}, changed before they are read and checked:")
    for trial, rows in zip(raw.trials, raw.rows, strict=True) if raw else ():
        at = _at(raw.bars, trial) if raw else ""
        lines.append(f"raw       {trial.split}, all {rows:,} rows after {at} changed or gone: {_told(trial)}")
    passed = all(trial.passed for trial in (*trials, *(raw.trials if raw else ())))
    verdict = "no observation or reward depends on what comes after it" if passed else "FAILED: the feed looks ahead"
    return [*lines, f"proof     {verdict}"]


def _at(bars: Bars, trial: Trial) -> str:
    return str(bars.timestamp[trial.bar])[:16].replace("T", " ")


def _told(trial: Trial) -> str:
    told = "equal to the bit"
    if not trial.passed:
        told = f"DIFFER in {trial.observations:,} observations and {trial.rewards:,} rewards"
    return f"{trial.compared:,} steps up to there {told}"
