"""What the checks of data found: rows that broke a rule, kept, counted and told. Each room says whose rows they are."""

from collections.abc import Iterable
from dataclasses import dataclass, field

MOST = 1000  # findings of one rule that are kept; all are counted
_SHOWN = 50  # of them, and of files, in the text
_LINES = (".csv", ".csv.gz", ".tsv")  # files whose first line is a header, and whose every other is a row


def row_in(file: str, row: int) -> str:
    """A row by its number from 1, a header not counted; in a text file by that of its line too, as editors count."""
    return f"row {row}, line {row + 1}" if file.lower().endswith(_LINES) else f"row {row}"


def count(number: int, noun: str) -> str:
    """ "1 row", "12 rows"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


@dataclass(frozen=True)
class Finding:
    """One row, stay or file that broke one rule."""

    rule: str
    where: str  # in words: file, row, and whose it is
    row: int | None  # from 1, a header not counted; None where the rule speaks of a whole file
    detail: str
    file: str = ""  # of the row, where there are several

    def __str__(self) -> str:
        return f"{self.where}: {self.detail} [{self.rule}]"


@dataclass(frozen=True)
class CheckReport:
    """What was read and what was found."""

    source: str
    facts: dict[str, str | int]  # how many rows, and of whom
    policy: str
    files: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()  # at most MOST of each rule
    counts: dict[str, int] = field(default_factory=dict)  # rule -> all of them
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """The report in lines: source, size, findings one by one, notes."""
        lines = [f"source    {self.source}", *(f"file      {file}" for file in self.files[:_SHOWN])]
        lines += [f"          and {len(self.files) - _SHOWN} more files"] if len(self.files) > _SHOWN else []
        for name, told in self.facts.items():
            lines.append(f"{name:<9} {told:,}" if isinstance(told, int) else f"{name:<9} {told}")
        lines.append(f"findings  {sum(self.counts.values()):,} (policy {self.policy})")
        for rule, count in self.counts.items():
            shown = [finding for finding in self.findings if finding.rule == rule][:_SHOWN]
            lines += [f"  {rule}: {count:,}", *(f"    {finding}" for finding in shown)]
            lines += [f"    and {count - len(shown):,} more"] if count > len(shown) else []
        return "\n".join(lines + [f"note      {note}" for note in self.notes])


class Tally:
    """Keeps the first findings of each rule and counts all."""

    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.counts: dict[str, int] = {}

    def add(self, rule: str, count: int, some: Iterable[Finding]) -> None:
        """`count` rows broke the rule; of `some` the first MOST are kept, and no more are made."""
        if not count:
            return
        self.counts[rule] = self.counts.get(rule, 0) + count
        room = MOST - sum(finding.rule == rule for finding in self.kept)
        self.kept += [finding for finding, _ in zip(some, range(room), strict=False)]

    def first(self) -> Finding:
        """What speaks of a whole file, then by file and row."""
        return min(self.kept, key=lambda finding: (finding.row is not None, finding.file, finding.row or 0))

    def summed(self) -> str:
        """ "3 (duplicate 2, jump 1)"."""
        rules = ", ".join(f"{rule} {number:,}" for rule, number in self.counts.items())
        return f"{sum(self.counts.values()):,} ({rules})"
