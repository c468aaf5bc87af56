import polars as pl

from prebill.workflows.versions import fates

LIVE = {"draft_id": pl.String, "version": pl.String, "state": pl.String, "total_minor": pl.Int64}


def fate(version: str, state: str, live: list[tuple[str, str, str, int]]) -> str:
    drafts = pl.DataFrame({"draft_id": ["a"], "version": [version], "state": [state]})
    return str(fates(drafts, pl.DataFrame(live, schema=LIVE, orient="row"))["fate"].item())


def test_a_draft_never_seen_is_new() -> None:
    assert fate("1", "issued", [("b", "1", "issued", 5)]) == "new"


def test_the_same_version_is_left_alone_whatever_its_state() -> None:
    for state in ("issued", "in_review", "held", "rejected"):
        assert fate("1", "issued", [("a", "1", state, 5)]) == "equal"


def test_the_same_version_is_decided_once_it_is_final() -> None:
    assert fate("1", "draft", [("a", "1", "draft", 5)]) == "equal"
    assert fate("1", "held", [("a", "1", "draft", 5)]) == "promote"


def test_another_version_replaces_what_was_not_issued() -> None:
    for state in ("draft", "in_review", "held", "rejected"):
        assert fate("2", "issued", [("a", "1", state, 5)]) == "replace"
    assert fate("2", "issued", [("a", "1", "issued", 5)]) == "adjust"
