"""Who must approve what: the first line of the matrix that fits, roles within their limits."""

import polars as pl
import pytest

from prebill.core.errors import PolicyError
from prebill.core.policy.approvals import parse_approvals

MATRIX = {
    "limits": {
        "reviewer": {"default": 1000, "JPY": 150_000},
        "controller": {"default": 50_000},
    },
    "matrix": [
        {"action": "hold", "over": {"default": 10_000}, "people": 2, "of": ["controller", "admin"]},
        {"action": "hold", "over": {"default": 0}, "people": 1, "of": "controller"},
    ],
}


def asked(*rows: tuple[str, str, int]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=["action", "currency", "total_minor"], orient="row")


def test_line_and_limits_decide_together() -> None:
    found = parse_approvals(MATRIX).needed(
        asked(
            ("review", "EUR", 1000_00),
            ("review", "EUR", 1000_01),
            ("review", "JPY", 150_000),
            ("hold", "EUR", 10_000_00),
            ("hold", "EUR", -10_000_01),
            ("hold", "EUR", 50_000_01),
        )
    )
    assert [
        (1, "reviewer,controller,admin"),
        (1, "controller,admin"),
        (1, "reviewer,admin"),
        (1, "controller"),
        (2, "controller,admin"),
        (2, "admin"),
    ] == found.rows()


def test_without_the_section_one_person_of_any_role() -> None:
    found = parse_approvals(None).needed(asked(("hold", "EUR", 10**12)))
    assert [(1, "reviewer,controller,admin")] == found.rows()


def test_nobody_within_the_limits_is_said() -> None:
    line = {"action": "hold", "over": {"default": 0}, "people": 1, "of": "reviewer"}
    only = parse_approvals({"limits": {"reviewer": {"default": 1}}, "matrix": [line]})
    assert [(1, "")] == only.needed(asked(("hold", "EUR", 500))).rows()


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ([], "must be a mapping"),
        ({"limits": {"ceo": {"default": 1}}}, "unknown keys"),
        ({"limits": {"reviewer": 5}}, "with a default"),
        ({"matrix": {}}, "must be a list"),
        ({"matrix": [{**MATRIX["matrix"][0], "people": 1.5}]}, "whole number"),
        ({"matrix": [{**MATRIX["matrix"][0], "people": 0}]}, "outside"),
        ({"matrix": [{**MATRIX["matrix"][0], "of": ["ceo"]}]}, "one of reviewer"),
        ({"matrix": [{**MATRIX["matrix"][0], "action": "release"}]}, "one of review, hold"),
    ],
)
def test_wrong_approvals_are_refused_in_words(section: object, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        parse_approvals(section)
