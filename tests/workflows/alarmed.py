"""What makes each cause of an alert true in a real store, and what mends it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from prebill import audit
from prebill.bootstrap import Installation
from prebill.settings import Settings
from prebill.store import checks
from prebill.store.codec import instant_text
from prebill.store.engine import Tx
from prebill.store.users import Role, create_token, revoke_token
from prebill.workflows.alerting import record_audit
from tests.api.builders import NOW, add_case, add_draft, add_entity, add_person, add_waiting

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Cause:
    """A cause by its name, and how it begins and ends."""

    name: str
    make: Callable[[Installation], Any]
    mend: Callable[[Installation], Any]


def in_tx(work: Callable[[Tx], Any]) -> Callable[[Installation], Any]:
    def done(opened: Installation) -> Any:
        with opened.store.transaction() as tx:
            return work(tx)

    return done


def sql(statement: str, **values: object) -> Callable[[Installation], Any]:
    return in_tx(lambda tx: tx.execute(statement, values))


def seal(opened: Installation) -> None:
    audit.seal(opened.store, opened.settings.audit_heads_path)


def delivery(tx: Tx, **given: object) -> None:
    usual = {
        "delivery_id": "gate:1",
        "channel": "engine:stripe",
        "payload": "{}",
        "status": "pending",
        "attempts": 0,
        "next_attempt_at": NOW + HOUR,
        "draft_id": "in_1",
    }
    tx.insert("outbox", usual | given)


def run(tx: Tx, **given: object) -> None:
    texts = ("policy_hash", "reference_hash", "lake_versions", "model_versions", "entered_by")
    usual: dict[str, object] = {"run_id": "run-1", "period": "2026-10", "as_of_at": NOW - DAY}
    usual |= {"status": "running", "is_final": True, "shards": 1, "started_at": NOW - 2 * HOUR}
    tx.insert("runs", usual | dict.fromkeys(texts, "x") | given)


def engine_draft(tx: Tx) -> None:
    row = {"draft_id": "in_1", "version": "1", "system": "stripe", "sequence": 1}
    row |= {"customer_id": "C1", "currency": "EUR", "issued_on": "2026-11-01"}
    row |= {"due_on": "2026-11-15", "total_minor": 1, "content_digest": "0", "state": "held"}
    tx.insert(
        "engine_drafts", row | {"lines_json": "[]", "entered_at": NOW - HOUR, "entered_by": "x"}
    )


def preliminary(tx: Tx) -> None:
    """Of a month that ended 32 days ago, to be issued within ten; October's has time left."""
    add_entity(tx)
    run(tx, run_id="run-9", period="2026-09", status="finished")
    run(tx, run_id="run-10", status="finished")
    for period in ("2026-09", "2026-10"):
        add_draft(tx, f"DE:{period}:S1", period=period, state="draft")


def issued(tx: Tx) -> None:
    tx.execute("UPDATE drafts SET state = 'issued' WHERE period = '2026-09'")


def submitted(tx: Tx) -> None:
    """A policy that somebody else must look at, for two days."""
    text = {"kind": "policy", "text_hash": "h", "digest": "d", "content": "x"}
    tx.insert("configuration_texts", text | {"entered_at": NOW - 2 * DAY})
    row = {"kind": "policy", "number": 3, "name": "p", "digest": "d", "text_hash": "h", "note": ""}
    row |= {"status": "in_review", "lock_version": 2, "entered_by": "x"}
    row |= {"simulation": "{}", "simulated_hash": "h", "simulated_at": NOW - 2 * DAY}
    tx.insert("configurations", row | {"entered_at": NOW - 3 * DAY, "submitted_at": NOW - 2 * DAY})


def alone(tx: Tx) -> None:
    """A release without the others, two days ago."""
    row = {"case_id": "case:1", "draft_id": "d1", "reason": "quarter end", "entered_by": "x"}
    tx.insert("broken_glass", row | {"entered_at": NOW - 2 * DAY})


def incident(tx: Tx) -> None:
    run(tx, run_id="run-7", status="finished")
    row = {"run_id": "run-7", "status": "open", "drafts": 100, "stopped": 40, "limit_share": 0.1}
    row |= {"stopped_with": 40, "others_with": 0, "text": "x", "opened_at": NOW - HOUR}
    tx.insert("incidents", row)


def quarantined(tx: Tx) -> None:
    row = {"quarantine_id": "q1", "import_id": "i1", "contract": "payments", "file": "payments.csv"}
    row |= {"line": 2, "rule": "required", "row_json": "{}", "status": "open"}
    tx.insert("quarantine", row | {"entered_at": NOW - 2 * DAY})


def staged(tx: Tx) -> None:
    row = {"source": "meters", "id": "1", "customer_id": "C1", "meter": "api", "quantity": "1"}
    row |= {"occurred_at": NOW - HOUR, "unique_value": None}
    tx.insert("staged_events", row | {"entered_at": NOW - HOUR, "entered_by": "x"})


def heard_twice(tx: Tx) -> None:
    checks.heard(tx, ["meters", "once"], NOW - 3 * DAY)
    checks.heard(tx, ["meters"], NOW - 3 * DAY + HOUR)


def proposed(tx: Tx) -> None:
    row = {"model": "payment_risk", "sequence": 1, "kind": "promote", "version": 2}
    row |= {"digest": "d", "replaces_digest": "", "basis": "second_person", "status": "proposed"}
    tx.insert(
        "model_changes", row | {"evidence": "{}", "proposed_at": NOW - 2 * DAY, "proposed_by": "a"}
    )


def ending_token(opened: Installation) -> None:
    person = add_person(opened.store, Role.CONTROLLER, name="Ann")
    with opened.store.transaction() as tx:
        create_token(tx, person.actor.user_id, name="nightly", expires_at=NOW + 10 * DAY)
        tx.execute(
            "UPDATE tokens SET token_id = 'tok', created_at = :at WHERE name = 'nightly'",
            {"at": NOW - 90 * DAY},
        )


def altered_audit(opened: Installation) -> None:
    with opened.store.transaction() as tx:
        audit.record(tx, "ada", "case.released", "case:1")
    seal(opened)
    with opened.store.transaction() as tx:
        tx.execute("UPDATE audit_entries SET actor = 'eve'")
    verified(opened)


def verified(opened: Installation) -> None:
    seen = audit.verify(opened.store, opened.settings.audit_heads_path)
    with opened.store.transaction() as tx:
        record_audit(tx, seen, NOW)


def unsealed(tx: Tx) -> None:
    audit.record(tx, "ada", "case.released", "case:1")
    tx.execute("UPDATE audit_entries SET entered_at = :at", {"at": NOW - HOUR})


def failed_message(tx: Tx) -> None:
    alert = dict.fromkeys(("cause", "kind", "title", "text", "path", "owner"), "x")
    instants = dict.fromkeys(
        ("since_at", "first_seen_at", "last_seen_at", "told_at", "gone_at"), NOW
    )
    tx.insert("alerts", alert | instants | {"alert_id": 900, "severity": "warning", "count": 1})
    row = {"message_id": "m1", "alert_id": 900, "event": "opened", "channel": "mail"}
    row |= {"recipient": "a@b.c", "payload": "{}", "status": "failed", "attempts": 1}
    tx.insert("alert_messages", row | {"next_attempt_at": NOW, "entered_at": NOW})


def late_case(tx: Tx, **given: object) -> None:
    add_draft(tx)
    add_case(tx, **({"due_at": instant_text(NOW - HOUR)} | given))


CAUSES = (
    Cause(
        "case_past_due:billing",
        in_tx(late_case),
        sql("UPDATE cases SET due_at = :later", later=NOW + DAY),
    ),
    Cause(
        "case_near_due:billing",
        in_tx(lambda tx: late_case(tx, due_at=instant_text(NOW + HOUR))),
        in_tx(
            lambda tx: tx.insert(
                "claims",
                {
                    "case_id": "case:DE:2026-10:S1:v1",
                    "user_id": "u1",
                    "claimed_at": NOW,
                    "expires_at": NOW + HOUR,
                },
            )
        ),
    ),
    Cause(
        "approval_waiting:model payment_risk",
        in_tx(proposed),
        sql("UPDATE model_changes SET status = 'withdrawn'"),
    ),
    Cause(
        "approval_waiting:policy 3",
        in_tx(submitted),
        sql("UPDATE configurations SET status = 'draft', submitted_at = NULL"),
    ),
    Cause(
        "approval_waiting:releases made alone",
        in_tx(alone),
        sql("UPDATE broken_glass SET reviewed_at = 'x', reviewed_by = 'somebody else'"),
    ),
    Cause(
        "run_stopped:run-7",
        in_tx(incident),
        sql("UPDATE incidents SET status = 'closed'"),
    ),
    Cause(
        "draft_stranded:Prebill",
        in_tx(lambda tx: add_draft(tx, entered_at=instant_text(NOW - HOUR))),
        in_tx(add_case),
    ),
    Cause(
        "draft_stranded:other engines",
        in_tx(engine_draft),
        sql("UPDATE engine_drafts SET state = 'withdrawn'"),
    ),
    Cause("draft_overdue:2026-09 DE", in_tx(preliminary), in_tx(issued)),
    Cause(
        "delivery_waiting",
        in_tx(lambda tx: delivery(tx, next_attempt_at=NOW - HOUR)),
        sql("UPDATE outbox SET status = 'delivered'"),
    ),
    Cause(
        "integration_failing:engine:stripe",
        in_tx(lambda tx: delivery(tx, attempts=9)),
        sql("UPDATE outbox SET status = 'delivered'"),
    ),
    Cause(
        "integration_failed:engine:stripe",
        in_tx(lambda tx: delivery(tx, status="failed", next_attempt_at=NOW)),
        sql("UPDATE outbox SET status = 'pending', next_attempt_at = :later", later=NOW + DAY),
    ),
    Cause(
        "feed_silent:meters",
        in_tx(heard_twice),
        in_tx(lambda tx: checks.heard(tx, ["meters"], NOW)),
    ),
    Cause("run_late:run-1", in_tx(run), sql("UPDATE runs SET status = 'finished'")),
    Cause(
        "run_failed:run-9",
        in_tx(lambda tx: run(tx, run_id="run-9", status="failed")),
        in_tx(lambda tx: run(tx, run_id="run-10", status="finished", started_at=NOW)),
    ),
    Cause(
        "quarantine_waiting:payments",
        in_tx(quarantined),
        sql("UPDATE quarantine SET status = 'dismissed'"),
    ),
    Cause("staging_waiting:usage events", in_tx(staged), sql("DELETE FROM staged_events")),
    Cause(
        "credential_ending:token tok",
        ending_token,
        in_tx(lambda tx: revoke_token(tx, "tok")),
    ),
    Cause("audit_unsealed:books", in_tx(unsealed), seal),
    Cause("audit_broken", altered_audit, sql("UPDATE checks SET problems = 0, since_at = NULL")),
    Cause(
        "drift",
        in_tx(lambda tx: checks.record(tx, "drift", 2, "error_risk score score: warn", NOW)),
        in_tx(lambda tx: checks.record(tx, "drift", 0, "", NOW)),
    ),
    Cause("message_failed:mail", in_tx(failed_message), sql("DELETE FROM alert_messages")),
)

#: An engine of the settings whose interface version ends on 2028-01-01.
ENGINE = {"zoo": {"url": "http://127.0.0.1:9/x", "secret": "a secret of the test"}}


def with_settings(opened: Installation, **given: Any) -> Installation:
    """The same installation with other settings."""
    settings = Settings.load(
        opened.settings.home, database_url=opened.settings.database_url, **given
    )
    return Installation(settings, opened.store, opened.lake)


__all__ = ["CAUSES", "ENGINE", "NOW", "Cause", "add_waiting", "with_settings"]
