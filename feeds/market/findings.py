"""What the checks of prices found: rows of a file, each with its symbol and time."""

from collections.abc import Callable

import numpy as np

from feeds.errors import FeedError
from feeds.findings import MOST, Finding, Tally, row_in
from feeds.market.panel import Panel
from feeds.market.rows import Rows


class Findings:
    """Collects what the rules find."""

    def __init__(self, policy: str) -> None:
        self.policy, self.tally = policy, Tally()

    @property
    def clips(self) -> bool:
        return self.policy == "clip"

    def whole(self, rule: str, file: str, detail: str) -> None:
        """A rule that speaks of a whole file."""
        self.tally.add(rule, 1, [Finding(rule, file, None, detail, file)])

    def rows(self, rule: str, rows: Rows, which: np.ndarray, detail: Callable[[int], str]) -> None:
        """Rows `[D]` by their index."""
        found = (_of_row(rule, rows, int(index), detail(int(index))) for index in which)
        self.tally.add(rule, len(which), found)

    def cells(self, rule: str, panel: Panel, broken: np.ndarray, detail: Callable[[int, int], str]) -> None:
        """Cells `[T, N]` of the panel, in the order of their rows."""
        bars, assets = np.nonzero(broken)
        order = np.argsort(panel.row_of[bars, assets], kind="stable")[:MOST]
        found = (
            _of_row(rule, panel.rows, int(panel.row_of[t, n]), detail(int(t), int(n)))
            for t, n in zip(bars[order], assets[order], strict=True)
        )
        self.tally.add(rule, len(bars), found)

    def stop(self) -> None:
        """Under the policy "error" raises FeedError with the first finding and how many there are."""
        if self.policy == "error" and self.tally.kept:
            raise FeedError(
                f"{self.tally.first()}; findings in all: {self.tally.summed()}. feed.policy=quarantine leaves such "
                "rows out, feed.policy=clip mends them, both with a line in the report"
            )


def _of_row(rule: str, rows: Rows, index: int, detail: str) -> Finding:
    stamp = str(np.int64(rows.instants.micros[index]).view("datetime64[us]"))
    stamp = stamp[:10] if stamp.endswith("T00:00:00.000000") else stamp[:19].replace("T", " ")
    file, row = rows.table.place(int(rows.row[index]))
    where = f"{file}, {row_in(file, row)} ({rows.symbols[rows.code[index]]}, {stamp})"
    return Finding(rule, where, row, detail, file)
