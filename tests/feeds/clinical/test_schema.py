"""Which column is what, as a user writes it."""

from typing import Any

import pytest

from feeds.clinical.schema import make_schema
from feeds.errors import FeedError

ROLES: dict[str, Any] = {"subject": "pid", "time": "hour", "state": ["pulse"], "action": ["drug"]}


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("drug", "numeric"),
        (["drug"], "numeric"),
        ({"drug": "binary"}, "binary"),
        ({"drug": {"kind": "binary"}}, "binary"),
    ],
)
def test_columns_are_named_as_briefly_as_one_likes(written: Any, kind: str) -> None:
    assert make_schema(ROLES | {"action": written}, "roles.yaml").action["drug"].kind == kind


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(FeedError, match=r"roles.yaml: the roles subject, time, state, action are missing"):
        make_schema({}, "roles.yaml")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"states": ["pulse"]}, "states: is unknown; did you mean 'state'"),
        ({"state": 3}, "columns are a list of names.* not int"),
        ({"state": {"pulse": {"kindd": "binary"}}}, "kindd: is unknown; did you mean 'kind'"),
        ({"state": {"pulse": "number"}}, "state.pulse.kind"),
    ],
)
def test_a_mistake_is_one_sentence(change: dict[str, Any], told: str) -> None:
    with pytest.raises(FeedError, match=told):
        make_schema(ROLES | change, "roles.yaml")
