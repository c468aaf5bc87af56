"""What is kept with a verdict, learnt from many, and told on the next case; on both engines."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from prebill.bootstrap import Installation
from prebill.core.triage.recommend import is_withheld
from prebill.core.triage.resolutions import RESOLUTIONS
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store import assistance as sql
from prebill.store.console import find_case
from prebill.store.engine import Store
from prebill.store.handling import escalate
from prebill.workflows import resolve
from prebill.workflows.assisting import (
    Assistance,
    assistance_figures,
    assistance_of,
    learn_again,
)
from tests.api.builders import add_decision, add_waiting, finding
from tests.workflows import world

NOW = datetime(2026, 11, 5, tzinfo=UTC)


@pytest.fixture
def opened(database_url: str, home: Path) -> Iterator[Installation]:
    settings = Settings.load(home, database_url=database_url, withheld_share=0.0)
    installation = Installation(settings, Store(database_url), Lake(settings.lake_dir))
    yield installation
    installation.close()


def help_on(opened: Installation, case_id: str) -> Assistance:
    with opened.store.read() as tx:
        share = opened.settings.withheld_share
        found = assistance_of(tx, find_case(tx, case_id), share)
    assert found is not None
    return found


def add_cases(opened: Installation, count: int) -> list[str]:
    with opened.store.transaction() as tx:
        return [add_waiting(tx, number) for number in range(1, count + 1)]


def test_a_verdict_is_kept_with_what_was_recommended(opened: Installation) -> None:
    (case_id,) = add_cases(opened, 1)
    resolve.reject(opened, case_id, "ann", 1, "not_agreed")
    (kept,) = world.rows(opened, "SELECT * FROM recommendations")
    assert ("correct", 0.93, "rules", "reject", True) == (
        kept["action"],
        kept["confidence"],
        kept["basis"],
        kept["verdict"],
        bool(kept["was_shown"]),
    )
    (row,) = world.rows(opened, "SELECT * FROM resolutions")
    assert {
        "case_id": case_id,
        "code": "price_differs_from_contract",
        "codes": "price_differs_from_contract",
        "verdict": "reject",
        "reason_code": "not_agreed",
        "resolved_by": "ann",
        "customer_id": "CUST-00001",
        "amount_minor": 5_000,
        "total_minor": 48_554,
        "charges": "seats",
        "queue": "billing",
        "first_queue": "billing",
    }.items() <= row.items()


def test_a_case_resolved_after_an_escalation_did_not_keep_its_first_queue(
    opened: Installation,
) -> None:
    case_ids = add_cases(opened, 2)
    with opened.store.transaction() as tx:
        escalate(tx, tx.get("cases", case_id=case_ids[0]), "ann")
    resolve.reject(opened, case_ids[0], "carl", 2, "wrong_price")
    resolve.reject(opened, case_ids[1], "ann", 1, "wrong_price")
    rows = world.rows(opened, "SELECT queue, first_queue FROM resolutions ORDER BY case_id")
    assert [(row["queue"], row["first_queue"]) for row in rows] == [
        ("escalated", "billing"),
        ("billing", "billing"),
    ]
    with opened.store.read() as tx:
        stuck = assistance_figures(tx).first_routings.select("first_queue", "cases", "stuck")
    assert stuck.rows() == [("all", 2, 1), ("billing", 2, 1)]


def test_a_refused_verdict_keeps_nothing(opened: Installation) -> None:
    (case_id,) = add_cases(opened, 1)
    with pytest.raises(Exception, match="reload"):
        resolve.reject(opened, case_id, "ann", 7, "not_agreed")
    assert world.rows(opened, "SELECT * FROM recommendations") == []
    assert world.rows(opened, "SELECT * FROM resolutions") == []


def test_the_next_case_tells_similar_ones_and_where_they_went(opened: Installation) -> None:
    case_ids = add_cases(opened, 7)
    for number, case_id in enumerate(case_ids[:6]):
        resolve.reject(opened, case_id, "ann" if number < 4 else "bob", 1, "wrong_price")
    found = help_on(opened, case_ids[6])
    assert found.similar.height == 3
    assert set(found.similar["case_id"]) <= set(case_ids[:6])
    assert found.routing is not None
    assert ("billing", 6) == (found.routing.queue.value, found.routing.queue.count)
    assert ("ann", 4, 6) == (
        found.routing.owner.value,
        found.routing.owner.count,
        found.routing.owner.of,
    )
    assert found.routing.cause is not None
    assert found.routing.cause.value == "wrong_price"


def test_a_withheld_case_recommends_nothing_and_says_so(database_url: str, home: Path) -> None:
    settings = Settings.load(home, database_url=database_url, withheld_share=0.5)
    with Store(database_url) as store:
        opened = Installation(settings, store, Lake(settings.lake_dir))
        case_ids = add_cases(opened, 12)
        shown = {case_id: not is_withheld(case_id, 0.5) for case_id in case_ids}
        assert set(shown.values()) == {True, False}
        for case_id in case_ids:
            found = help_on(opened, case_id)
            assert shown[case_id] == (found.recommendation is not None) == (not found.is_withheld)
            resolve.reject(opened, case_id, "ann", 1, "wrong_price")
        rows = world.rows(opened, "SELECT case_id, was_shown FROM recommendations")
        assert {row["case_id"]: bool(row["was_shown"]) for row in rows} == shown
        with store.read() as tx:
            figures = assistance_figures(tx)
    counted = dict(figures.agreement.select("group", "cases").iter_rows())
    assert counted["shown"] == sum(shown.values())
    assert counted["blind"] == counted["blind, by rules"] == 12 - sum(shown.values())
    assert figures.lines()[-1].startswith("first queue kept, billing")


def test_an_open_case_of_the_sample_gets_no_help(sqlite_url: str, home: Path) -> None:
    opened = world.install(sqlite_url, home, accounts=6, events=300)
    world.sample_everything(opened)
    world.run(opened)
    case_id = str(
        world.rows(opened, "SELECT case_id FROM cases WHERE kind = 'sample'")[0]["case_id"]
    )
    with opened.store.read() as tx:
        assert assistance_of(tx, find_case(tx, case_id), 0.0) is None
    resolve.release(opened, case_id, "ann", 1, "looked_right")
    assert world.rows(opened, "SELECT * FROM recommendations") == []
    assert world.rows(opened, "SELECT * FROM resolutions") == []
    assert help_on(opened, case_id).recommendation is None


def test_enough_verdicts_replace_the_rules(opened: Installation) -> None:
    """200 verdicts: exact prices are rejected here, unusual levels are right."""
    with opened.store.transaction() as tx:
        case_ids = [add_waiting(tx, number) for number in range(1, 4)]
        tx.insert_frame("resolutions", taught(220))
    assert not learn_again(opened, NOW)  # verdicts count, and nobody gave one
    with opened.store.transaction() as tx:
        add_verdicts(tx, taught(220)["case_id"].to_list())
    assert learn_again(opened, NOW)
    assert not learn_again(opened, NOW)  # nothing new
    found = help_on(opened, case_ids[0]).recommendation
    assert found is not None
    assert ("reject", "verdicts") == (found.action, found.basis)
    assert found.confidence is not None
    assert found.confidence > 0.8
    resolve.reject(opened, case_ids[0], "ann", 1, "wrong_price")
    (kept,) = world.rows(opened, "SELECT * FROM recommendations")
    (model,) = world.rows(opened, "SELECT digest FROM recommenders")
    assert (kept["recommender"], kept["basis"]) == (model["digest"], "verdicts")


def test_verdicts_from_before_are_taken_in(opened: Installation) -> None:
    case_ids = add_cases(opened, 3)
    for case_id in case_ids:
        resolve.reject(opened, case_id, "ann", 1, "wrong_price")
    with opened.store.transaction() as tx:
        tx.execute("DELETE FROM resolutions")
    learn_again(opened, NOW)
    rows = world.rows(opened, "SELECT case_id FROM resolutions ORDER BY case_id")
    assert [row["case_id"] for row in rows] == case_ids


def test_a_gap_names_its_customer(opened: Installation) -> None:
    with opened.store.transaction() as tx:
        add_waiting(tx, 1)
        reasons = '[{"code":"invoice_missing","amount_minor":-700,"lines":[]}]'
        draft_id = "gap:2026-10:CUST-00001:"
        add_decision(
            tx,
            draft_id,
            [finding("x", 1)],
            draft_version="gap",
            findings_json="[]",
            reasons=reasons,
        )
        case = {
            "case_id": f"case:{draft_id}:gap",
            "kind": "gap",
            "draft_id": draft_id,
            "draft_version": "gap",
        }
        tx.insert("cases", {**tx.get("cases", draft_id="DE:2026-10:SUB-00001"), **case})
        facts = sql.case_facts(tx, case["case_id"])
    assert ("CUST-00001", "invoice_missing", -700, True) == facts.select(
        "customer_id", "code", "amount_minor", "is_exact"
    ).row(0)


def taught(cases: int) -> pl.DataFrame:
    """Resolved cases: prices rejected, levels released."""
    numbers = pl.DataFrame({"n": range(cases)}).with_columns(is_price=pl.col("n") % 2 == 0)
    code = (
        pl.when("is_price")
        .then(pl.lit("price_differs_from_contract"))
        .otherwise(pl.lit("total_above_history"))
    )
    rows = numbers.with_columns(
        case_id=pl.format("taught:{}", "n"),
        code=code,
        codes=code,
        resolved_at=pl.lit(NOW),
        resolved_by=pl.lit("ann"),
        verdict=pl.when("is_price").then(pl.lit("reject")).otherwise(pl.lit("release")),
        reason_code=pl.lit("said"),
        kind=pl.lit("draft"),
        customer_id=pl.lit("OTHER"),
        queue=pl.lit("billing"),
        first_queue=pl.lit("billing"),
        currency=pl.lit("EUR"),
        amount_minor=pl.lit(5_000, dtype=pl.Int64),
        total_minor=pl.lit(48_554, dtype=pl.Int64),
        is_exact="is_price",
        charges=pl.lit("seats"),
        anomaly_score=pl.lit(0.98),
        p_error=pl.lit(0.5),
    )
    return RESOLUTIONS.conform(rows)


def add_verdicts(tx: sql.Tx, case_ids: list[str]) -> None:
    """Verdicts on closed cases of nothing."""
    case = tx.get("cases", draft_id="DE:2026-10:SUB-00001")
    closed = [{**case, "case_id": one, "draft_id": one, "status": "released"} for one in case_ids]
    tx.insert_rows("cases", closed)
    tx.insert_rows(
        "verdicts",
        [
            {
                "verdict_id": f"verdict:{one}",
                "case_id": one,
                "draft_id": one,
                "draft_version": "v1",
                "verdict": "release",
                "reason_code": "said",
                "note": None,
                "correction_json": None,
                "entered_at": NOW,
                "entered_by": "ann",
            }
            for one in case_ids
        ],
    )
