"""The report of findings that all rooms share."""

import pytest

from feeds.findings import MOST, CheckReport, Finding, Tally, count, row_in


@pytest.mark.parametrize("file", ["a/prices.csv", "A.CSV", "a.csv.gz", "b.tsv"])
def test_a_row_of_a_text_file_has_a_line(file: str) -> None:
    assert row_in(file, 7) == "row 7, line 8"


@pytest.mark.parametrize("file", ["frame", "prices.parquet", "folder", "csv"])
def test_a_row_of_anything_else_has_none(file: str) -> None:
    assert row_in(file, 7) == "row 7"


def test_one_is_one_and_two_are_several() -> None:
    assert [count(number, "stay") for number in (0, 1, 2, 1200)] == ["0 stays", "1 stay", "2 stays", "1,200 stays"]


def test_all_are_counted_some_are_kept_and_the_first_is_told() -> None:
    tally, made = Tally(), 0

    def some() -> object:
        nonlocal made
        while True:
            made += 1
            yield Finding("jump", f"b.csv, row {made}", made, "jumps", "b.csv")

    tally.add("jump", MOST + 5, some())  # type: ignore[arg-type]
    tally.add("gap", 0, some())  # type: ignore[arg-type]
    tally.add("order", 1, [Finding("order", "a.csv, row 9", 9, "is late", "a.csv")])
    assert made <= MOST + 1
    assert len(tally.kept) == MOST + 1
    assert tally.counts == {"jump": MOST + 5, "order": 1}
    assert tally.summed() == "1,006 (jump 1,005, order 1)"
    assert str(tally.first()) == "a.csv, row 9: is late [order]"
    tally.add("unknown", 1, [Finding("unknown", "z.csv", None, "is unknown", "z.csv")])
    assert tally.first().rule == "unknown"


def test_the_report_in_lines() -> None:
    findings = tuple(Finding("jump", f"row {row}", row, "jumps") for row in (1, 2))
    report = CheckReport("here", {"rows": "4", "symbols": "2"}, "error", ("a.csv",), findings, {"jump": 3}, ("odd",))
    assert report.text().splitlines() == [
        "source    here",
        "file      a.csv",
        "rows      4",
        "symbols   2",
        "findings  3 (policy error)",
        "  jump: 3",
        "    row 1: jumps [jump]",
        "    row 2: jumps [jump]",
        "    and 1 more",
        "note      odd",
    ]
