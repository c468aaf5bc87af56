import polars as pl

from prebill.workflows.versions import fates

LIVE = {"draft_id": pl.String, "version": pl.String, "state": pl.String, "total_minor": pl.Int64}
NOT_JUDGED = pl.lit(value=False)
JUDGED = pl.lit(value=True)


def fate(
    version: str,
    state: str,
    live: list[tuple[str, str, str, int]],
    *,
    was_judged: pl.Expr = JUDGED,
    is_judged: pl.Expr = JUDGED,
) -> str:
    drafts = pl.DataFrame({"draft_id": ["a"], "version": [version], "state": [state]})
    stored = pl.DataFrame(live, schema=LIVE, orient="row").with_columns(is_judged=was_judged)
    return str(fates(drafts.with_columns(is_judged=is_judged), stored)["fate"].item())


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


def test_a_waiting_draft_is_judged_again_once_its_judge_can() -> None:
    for state in ("in_review", "held"):
        live = [("a", "1", state, 5)]
        assert fate("1", "issued", live, was_judged=NOT_JUDGED) == "rejudge"
        assert fate("1", state, live, was_judged=NOT_JUDGED, is_judged=NOT_JUDGED) == "equal"
    for state in ("issued", "rejected"):
        assert fate("1", "issued", [("a", "1", state, 5)], was_judged=NOT_JUDGED) == "equal"
