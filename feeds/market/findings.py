"""What the checks of prices found: rows that broke a rule, kept, counted and told."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from feeds.errors import FeedError
from feeds.market.panel import Panel
from feeds.market.rows import Rows

MOST = 1000  # findings of one rule that are kept; all are counted
_SHOWN = 50  # of them in the text


@dataclass(frozen=True)
class Finding:
    """One row that broke one rule."""

    rule: str
    file: str
    row: int | None  # of the file, from 1, its header not counted; None where the rule speaks of the whole file
    symbol: str | None
    timestamp: str | None
    detail: str

    def __str__(self) -> str:
        place = self.file if self.row is None else f"{self.file}, row {self.row}"
        who = ", ".join(part for part in (self.symbol, self.timestamp) if part)
        return f"{place}{f' ({who})' if who else ''}: {self.detail} [{self.rule}]"


@dataclass(frozen=True)
class CheckReport:
    """What was read and what was found."""

    source: str
    files: tuple[str, ...]
    rows: int
    symbols: int
    bars: int
    first: str  # instant of the first bar
    last: str
    policy: str
    findings: tuple[Finding, ...] = ()  # at most MOST of each rule
    counts: dict[str, int] = field(default_factory=dict)  # rule -> all of them
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """The report in lines: source, size, findings row by row, notes."""
        lines = [f"source    {self.source}"]
        lines += [f"file      {file}" for file in self.files[:_SHOWN]]
        lines += [f"          and {len(self.files) - _SHOWN} more files"] if len(self.files) > _SHOWN else []
        lines += [
            f"rows      {self.rows:,}",
            f"symbols   {self.symbols:,}",
            f"bars      {self.bars:,} from {self.first} to {self.last} (UTC)",
            f"findings  {sum(self.counts.values()):,} (policy {self.policy})",
        ]
        for rule, count in self.counts.items():
            shown = [finding for finding in self.findings if finding.rule == rule][:_SHOWN]
            lines += [f"  {rule}: {count:,}", *(f"    {finding}" for finding in shown)]
            lines += [f"    and {count - len(shown):,} more"] if count > len(shown) else []
        return "\n".join(lines + [f"note      {note}" for note in self.notes])


class Findings:
    """Collects what the rules find."""

    def __init__(self, policy: str) -> None:
        self.policy = policy
        self.kept: list[Finding] = []
        self.counts: dict[str, int] = {}

    @property
    def clips(self) -> bool:
        return self.policy == "clip"

    def add(self, rule: str, count: int, some: Iterator[Finding]) -> None:
        """`count` rows broke the rule; of `some` the first MOST are kept."""
        if count:
            self.counts[rule] = self.counts.get(rule, 0) + count
            room = MOST - sum(finding.rule == rule for finding in self.kept)
            self.kept += [finding for finding, _ in zip(some, range(room), strict=False)]

    def rows(self, rule: str, rows: Rows, which: np.ndarray, detail: Callable[[int], str]) -> None:
        """Rows `[D]` by their index."""
        found = (_of_row(rule, rows, int(index), detail(int(index))) for index in which)
        self.add(rule, len(which), found)

    def cells(self, rule: str, panel: Panel, broken: np.ndarray, detail: Callable[[int, int], str]) -> None:
        """Cells `[T, N]` of the panel, in the order of their rows."""
        bars, assets = np.nonzero(broken)
        order = np.argsort(panel.row_of[bars, assets], kind="stable")[:MOST]
        found = (
            _of_row(rule, panel.rows, int(panel.row_of[t, n]), detail(int(t), int(n)))
            for t, n in zip(bars[order], assets[order], strict=True)
        )
        self.add(rule, len(bars), found)

    def stop(self) -> None:
        """Under the policy "error" raises FeedError with the first finding and how many there are."""
        if self.policy == "error" and self.kept:
            first = min(self.kept, key=lambda finding: (finding.row is not None, finding.file, finding.row or 0))
            count = sum(self.counts.values())
            rules = ", ".join(f"{rule} {number:,}" for rule, number in self.counts.items())
            raise FeedError(
                f"{first}; findings in all: {count:,} ({rules}). feed.policy=quarantine leaves such rows out, "
                "feed.policy=clip mends them, both with a line in the report"
            )


def _of_row(rule: str, rows: Rows, index: int, detail: str) -> Finding:
    stamp = str(np.int64(rows.instants.micros[index]).view("datetime64[us]"))
    stamp = stamp[:10] if stamp.endswith("T00:00:00.000000") else stamp[:19].replace("T", " ")
    file, row = rows.table.place(int(rows.row[index]))
    return Finding(rule, file, row, rows.symbols[rows.code[index]], stamp, detail)
