"""Events of billing engines over HTTP: believed, judged, held before they are acknowledged."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from prebill.bootstrap import Installation
from prebill.cli import app
from prebill.connectors.notify.webhook import signature
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.workflows.deliver import deliver_due
from tests.api.conftest import Served
from tests.api.gate import RIGHT, WRONG, decide, gate, rows
from tests.api.history import amount_minor, invoice, line_of
from tests.connectors.billing_engines import shapes
from tests.connectors.billing_engines.account import Account, account
from tests.connectors.notify.receiver import Receiver, receiving

LAGO_SECRET = "whsec_bGFnbyB0YWxrcyB0byB1cw=="


@dataclass(frozen=True, slots=True)
class Hooked:
    """The gate, a Stripe account beside it, and an engine that hears decisions."""

    served: Served
    stripe: Account
    lago: Receiver
    opened: Installation

    def event(self, kind: str, about: dict[str, Any], event_id: str = "evt_1") -> httpx.Response:
        body = shapes.body_of(shapes.event(kind, about, event_id))
        headers = shapes.signed(body, int(time.time()))
        return self.served.client.post("/v1/webhooks/stripe", content=body, headers=headers)

    def message(self, data: dict[str, Any], kind: str = "invoice.drafted") -> httpx.Response:
        body = json.dumps({"type": kind, "data": data}).encode()
        now = int(time.time())
        message_id = f"m-{abs(hash(body))}"
        headers = {"webhook-id": message_id, "webhook-timestamp": str(now)}
        headers["webhook-signature"] = signature(LAGO_SECRET, message_id, now, body)
        return self.served.client.post("/v1/webhooks/lago", content=body, headers=headers)

    def case_id(self, draft_id: str = "in_8") -> str:
        found = rows(
            self.served,
            "SELECT case_id FROM cases WHERE draft_id = :id AND status = 'open'",
            id=draft_id,
        )
        assert len(found) == 1
        return str(found[0]["case_id"])

    def state(self, draft_id: str = "in_8") -> str:
        found = rows(
            self.served,
            "SELECT state FROM engine_drafts WHERE draft_id = :id AND state <> 'superseded'",
            id=draft_id,
        )
        return str(found[0]["state"])

    def told(self, draft_id: str = "in_8") -> list[tuple[str, str]]:
        found = rows(
            self.served,
            "SELECT payload, status FROM outbox WHERE draft_id = :id "
            "ORDER BY draft_id, next_attempt_at",
            id=draft_id,
        )
        return [(json.loads(one["payload"])["data"]["action"], one["status"]) for one in found]


@pytest.fixture
def hook(store: Store, settings: Settings, lake: Lake) -> Iterator[Hooked]:
    """On each database engine."""
    yield from hooked(store, settings, lake)


@pytest.fixture
def hook_sqlite(sqlite_store: Store, settings: Settings, lake: Lake) -> Iterator[Hooked]:
    """On SQLite, for what does not depend on the engine."""
    yield from hooked(sqlite_store, settings, lake)


def hooked(store: Store, settings: Settings, lake: Lake) -> Iterator[Hooked]:
    with account() as stripe, receiving() as lago:
        given = {
            "stripe_api_key": shapes.KEY,
            "stripe_webhook_secret": shapes.SECRET,
            "stripe_api_url": stripe.url,
            "engines": {"lago": {"url": lago.url, "secret": LAGO_SECRET}},
        }
        chosen = Settings.load(settings.home, **given)
        with gate(store, chosen, lake) as served:
            bind(served, chosen)
            yield Hooked(served, stripe, lago, Installation(chosen, store, lake))


def bind(served: Served, settings: Settings) -> None:
    """Let both secrets act for users of their own, as `prebill token bind` does."""
    from datetime import UTC, datetime, timedelta

    from prebill.store.users import Role, bind_secret
    from tests.api.builders import add_person

    ends_at = datetime.now(UTC) + timedelta(days=1)
    for name, secret in (("stripe", shapes.SECRET), ("lago", LAGO_SECRET)):
        person = add_person(served.store, Role.VIEWER, name=f"{name} engine")
        with served.store.transaction() as tx:
            bind_secret(tx, person.actor.user_id, name, secret, expires_at=ends_at)


def draft(number: int = 8, times: int = 1, **given: Any) -> dict[str, Any]:
    """A draft in Stripe like the customer's past invoices, or a multiple of them."""
    like = invoice(number, 12, times=times)
    quantity = int(str(line_of(like)["quantity"]))
    one = shapes.line(number, int(str(like["total_minor"])), quantity=quantity, pricing=PRICED)
    due = {"collection_method": "send_invoice", "due_date": shapes.CREATED + 30 * 86_400}
    about = {"id": f"in_{number}", "customer": like["customer_id"]}
    return shapes.invoice(one, **(about | due | given))


PRICED = {"price_details": {"product": "seats"}, "unit_amount_decimal": None}


# ── Stripe ───────────────────────────────────────────────────────────────────────────────────


def test_ordinary_draft_is_left_to_stripe(hook: Hooked) -> None:
    hook.stripe.add(draft())
    answer = hook.event("invoice.created", draft())
    assert answer.status_code == 200, answer.text
    assert (answer.json()["decisions"][0]["action"], hook.state()) == ("release", "released")
    assert hook.stripe.changes("in_8") == []
    assert hook.told() == [("release", "delivered")]
    assert rows(hook.served, "SELECT * FROM cases WHERE kind = 'gate'") == []


def test_tenfold_draft_is_stopped_before_the_event_is_acknowledged(hook: Hooked) -> None:
    hook.stripe.add(draft(times=10))
    answer = hook.event("invoice.created", draft(times=10))
    assert answer.status_code == 200, answer.text
    held = hook.stripe.invoices["in_8"]
    assert (held["auto_advance"], held["status"]) == (False, "draft")
    assert held["metadata"]["prebill_case"] == hook.case_id()
    assert hook.told() == [(answer.json()["decisions"][0]["action"], "delivered")]
    case = hook.served.get(f"/v1/cases/{hook.case_id()}").json()
    assert (case["system"], case["kind"], case["entity_id"]) == ("stripe", "gate", None)
    assert case["total_minor"] == 10 * amount_minor(8, 12)


def test_release_finalizes_in_stripe_and_gives_no_number_here(hook: Hooked) -> None:
    hook.stripe.add(draft(times=10))
    hook.event("invoice.created", draft(times=10))
    done = decide(hook.served, hook.case_id(), "release", RIGHT)
    assert done.json()["state"] == "released"
    assert hook.stripe.invoices["in_8"]["status"] == "draft"  # the worker carries it out
    assert deliver_due(hook.opened).delivered == 1
    assert hook.stripe.invoices["in_8"]["status"] == "open"
    assert deliver_due(hook.opened).delivered == 0
    assert rows(hook.served, "SELECT * FROM documents") == []


def test_rejection_keeps_it_a_draft(hook: Hooked) -> None:
    hook.stripe.add(draft(times=10))
    hook.event("invoice.created", draft(times=10))
    decide(hook.served, hook.case_id(), "reject", WRONG)
    assert deliver_due(hook.opened).delivered == 1
    kept = hook.stripe.invoices["in_8"]
    assert (kept["status"], kept["metadata"]["prebill_action"]) == ("draft", "reject")


def test_repeated_event_gives_the_same_answer_and_no_second_effect(hook: Hooked) -> None:
    hook.stripe.add(draft(times=10))
    first = hook.event("invoice.created", draft(times=10))
    calls = len(hook.stripe.calls)
    again = hook.event("invoice.created", draft(times=10))
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert len(hook.stripe.calls) == calls
    assert len(rows(hook.served, "SELECT * FROM cases WHERE kind = 'gate'")) == 1


def test_our_own_change_comes_back_as_an_event_and_changes_nothing(hook: Hooked) -> None:
    hook.stripe.add(draft(times=10))
    hook.event("invoice.created", draft(times=10))
    case_id, changes = hook.case_id(), len(hook.stripe.changes("in_8"))
    hook.event("invoice.updated", hook.stripe.invoices["in_8"], "evt_2")
    assert hook.case_id() == case_id
    assert len(hook.stripe.changes("in_8")) == changes


def test_corrected_draft_is_scored_again_and_goes_on(hook: Hooked) -> None:
    hook.stripe.add(draft(times=10))
    hook.event("invoice.created", draft(times=10))
    old = hook.case_id()
    corrected = draft(metadata=hook.stripe.invoices["in_8"]["metadata"], auto_advance=False)
    hook.stripe.add(corrected)
    answer = hook.event("invoice.updated", corrected, "evt_2")
    assert answer.json()["decisions"][0]["action"] == "release"
    assert hook.stripe.invoices["in_8"]["auto_advance"] is True
    (case,) = rows(hook.served, "SELECT status FROM cases WHERE case_id = :id", id=old)
    assert case["status"] == "lapsed"


def test_draft_that_somebody_lets_advance_again_is_stopped_again(hook: Hooked) -> None:
    hook.stripe.add(draft(times=10))
    hook.event("invoice.created", draft(times=10))
    hook.stripe.invoices["in_8"]["auto_advance"] = True
    answer = hook.event("invoice.updated", hook.stripe.invoices["in_8"], "evt_2")
    assert answer.status_code == 200
    assert hook.stripe.invoices["in_8"]["auto_advance"] is False
    decide(hook.served, hook.case_id(), "reject", WRONG)
    deliver_due(hook.opened)
    hook.stripe.invoices["in_8"]["auto_advance"] = True
    hook.event("invoice.updated", hook.stripe.invoices["in_8"], "evt_3")
    assert hook.stripe.invoices["in_8"]["auto_advance"] is False


def test_event_is_not_acknowledged_while_stripe_can_not_be_told(hook: Hooked) -> None:
    hook.stripe.add(draft(times=10))
    hook.stripe.failures[("POST", "in_8")] = [503]
    first = hook.event("invoice.created", draft(times=10))
    assert (first.status_code, first.json()["code"]) == (503, "transient")
    assert hook.told()[0][1] == "pending"  # durable: the worker, too, goes on with it
    early = hook.event("invoice.created", draft(times=10))
    assert early.status_code == 503  # the pause after a failure isn't over
    with hook.served.store.transaction() as tx:
        tx.execute("UPDATE outbox SET next_attempt_at = '2026-01-01T00:00:00.000000Z'")
    again = hook.event("invoice.created", draft(times=10))
    assert again.status_code == 200
    assert hook.stripe.invoices["in_8"]["auto_advance"] is False
    assert len(rows(hook.served, "SELECT * FROM cases WHERE kind = 'gate'")) == 1


def test_refusal_of_stripe_is_tried_again_when_the_event_comes_again(hook: Hooked) -> None:
    hook.stripe.add(draft(times=10))
    hook.stripe.failures[("POST", "in_8")] = [403]
    refused = hook.event("invoice.created", draft(times=10))
    assert refused.status_code == 503
    assert "refused the API key" in refused.json()["detail"]
    assert hook.told()[0][1] == "failed"
    assert hook.event("invoice.created", draft(times=10)).status_code == 200  # the key is mended
    assert hook.stripe.invoices["in_8"]["auto_advance"] is False


def test_stripe_away_while_reading_stores_nothing(hook_sqlite: Hooked) -> None:
    hook = hook_sqlite
    hook.stripe.add(draft())
    hook.stripe.failures[("GET", "in_8")] = [500]
    assert hook.event("invoice.created", draft()).status_code == 503
    assert rows(hook.served, "SELECT * FROM engine_drafts") == []
    assert hook.event("invoice.created", draft()).status_code == 200


def test_draft_that_can_not_be_judged_is_stopped(hook_sqlite: Hooked) -> None:
    hook = hook_sqlite
    hook.stripe.add(draft())
    with hook.served.store.transaction() as tx:
        tx.execute("DELETE FROM profiles")
    answer = hook.event("invoice.created", draft())
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    stopped = hook.stripe.invoices["in_8"]
    assert (stopped["auto_advance"], stopped["metadata"]["prebill_action"]) == (False, "stopped")
    (entry,) = rows(hook.served, "SELECT actor FROM audit_entries WHERE action = 'draft.stopped'")
    assert entry["actor"] == "user-stripe"


def test_draft_that_was_issued_in_spite_of_the_hold_is_seen(hook: Hooked) -> None:
    hook.stripe.add(draft(times=10))
    hook.event("invoice.created", draft(times=10))
    case_id = hook.case_id()
    answer = hook.event("invoice.finalized", draft(times=10, status="open"), "evt_2")
    assert (answer.status_code, answer.json()["gone"]) == (200, {"in_8": "open"})
    assert hook.state() == "withdrawn"
    (case,) = rows(hook.served, "SELECT status FROM cases WHERE case_id = :id", id=case_id)
    assert case["status"] == "lapsed"
    (entry,) = rows(
        hook.served, "SELECT detail FROM audit_entries WHERE action = 'draft.withdrawn'"
    )
    assert json.loads(entry["detail"])["engine_status"] == "open"


def test_first_invoice_of_a_subscription_is_no_draft_and_passes(hook_sqlite: Hooked) -> None:
    answer = hook_sqlite.event("invoice.created", draft(status="open"))
    assert (answer.status_code, answer.json()["decisions"]) == (200, [])


def test_customer_of_the_engine_is_ours_where_the_two_are_linked(hook_sqlite: Hooked) -> None:
    hook = hook_sqlite
    with hook.served.store.transaction() as tx:
        link = {"system": "engine", "external_id": "cus_abc", "customer_id": "CUST-00008"}
        tx.insert("customer_links", link)
    hook.stripe.add(draft(customer="cus_abc"))
    answer = hook.event("invoice.created", draft())
    assert answer.json()["decisions"][0]["confidence"] == "full"
    (stored,) = rows(hook.served, "SELECT customer_id FROM engine_drafts")
    assert stored["customer_id"] == "CUST-00008"


# ── Who acts ─────────────────────────────────────────────────────────────────────────────────


def test_everything_is_done_by_the_user_of_the_secret(hook: Hooked) -> None:
    hook.stripe.add(draft(times=10))
    hook.event("invoice.created", draft(times=10))
    actors = rows(hook.served, "SELECT DISTINCT actor FROM audit_entries")
    assert [one["actor"] for one in actors] == ["user-stripe"]
    changed = rows(hook.served, "SELECT entered_by FROM state_changes WHERE object_id = 'in_8'")
    assert {one["entered_by"] for one in changed} == {"user-stripe"}


@pytest.mark.parametrize("system", ["stripe", "lago", "unknown"])
def test_stranger_is_told_the_same_whatever_exists(hook_sqlite: Hooked, system: str) -> None:
    client = hook_sqlite.served.client
    answer = client.post(f"/v1/webhooks/{system}", content=b"{}")
    assert answer.status_code == 401
    assert answer.json()["detail"].startswith("this webhook is unknown, or its signature")


def test_signature_of_a_secret_that_is_bound_to_nobody_is_refused(hook_sqlite: Hooked) -> None:
    hook = hook_sqlite
    hook.stripe.add(draft())
    with hook.served.store.transaction() as tx:
        tx.execute("UPDATE tokens SET revoked_at = 'x' WHERE name = 'webhook stripe'")
    answer = hook.event("invoice.created", draft())
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert "prebill token bind" in answer.json()["detail"]
    assert rows(hook.served, "SELECT * FROM engine_drafts") == []


def test_secret_is_no_bearer_token(hook_sqlite: Hooked) -> None:
    client = hook_sqlite.served.client
    for secret in (shapes.SECRET, LAGO_SECRET):
        headers = {"Authorization": f"Bearer {secret}"}
        assert client.get("/v1/cases", headers=headers).status_code == 401


def test_too_large_a_body_is_refused_before_it_is_kept(hook_sqlite: Hooked) -> None:
    client = hook_sqlite.served.client
    answer = client.post("/v1/webhooks/stripe", content=b"x" * (4 * 1024 * 1024 + 1))
    assert answer.status_code == 422


def test_secret_is_bound_from_the_shell(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, list(arguments))

    monkeypatch.setenv("PREBILL_STRIPE_API_KEY", shapes.KEY)
    monkeypatch.setenv("PREBILL_STRIPE_WEBHOOK_SECRET", shapes.SECRET)
    settings = Settings.load()
    with Store(settings.database_url) as store:
        store.create_all()
    assert "act for nobody" in run("doctor").output
    assert run("user", "add", "stripe@example.com", "--role", "viewer").exit_code == 0
    bound = run("token", "bind", "stripe", "stripe@example.com")
    assert bound.exit_code == 0, bound.output
    assert shapes.SECRET not in bound.output
    assert "its webhooks act for stripe until" in run("doctor").output
    with Store(settings.database_url) as store, store.read() as tx:
        entry = tx.first("SELECT * FROM audit_entries WHERE action = 'secret.bound'")
        token = tx.first("SELECT * FROM tokens")
    assert entry is not None
    assert shapes.SECRET not in json.dumps([entry, token])


# ── Any other engine ─────────────────────────────────────────────────────────────────────────


def drafted(number: int, times: int = 1) -> dict[str, Any]:
    one = invoice(number, 12, times=times)
    return {"invoices": [one], "invoice_lines": [line_of(one)]}


def heard(receiver: Receiver) -> list[dict[str, Any]]:
    for one in receiver.requests:
        sent = {name.lower(): value for name, value in one.headers.items()}
        expected = signature(
            LAGO_SECRET, sent["webhook-id"], int(sent["webhook-timestamp"]), one.body
        )
        assert sent["webhook-signature"] == expected
    return [json.loads(one.body)["data"] for one in receiver.requests]


def test_other_engine_hears_every_decision_signed(hook: Hooked) -> None:
    assert hook.message(drafted(7)).status_code == 200
    held = hook.message(drafted(9, times=10)).json()["decisions"][0]
    assert hook.lago.requests == []  # acknowledged when durable; the worker tells it
    assert deliver_due(hook.opened).delivered == 2
    first = {one["invoice_id"]: one["action"] for one in heard(hook.lago)}
    assert first == {"INV-202611-00007": "release", "INV-202611-00009": held["action"]}
    decide(hook.served, held["case_id"], "release", RIGHT)
    deliver_due(hook.opened)
    last = heard(hook.lago)[-1]
    assert (last["action"], last["decided_by"]) == ("release", "person")
    assert last["invoice_id"] == "INV-202611-00009"


def test_decision_keeps_the_columns_of_its_contract(hook_sqlite: Hooked) -> None:
    hook = hook_sqlite
    hook.message(drafted(7))
    deliver_due(hook.opened)
    from prebill.contracts import load_catalog

    contract = load_catalog(hook.opened.settings.contracts_dir)["gate_decision"]
    (told,) = heard(hook.lago)
    assert set(told) == set(contract.columns)


def test_repeated_message_is_one_decision(hook: Hooked) -> None:
    first, again = hook.message(drafted(9, times=10)), hook.message(drafted(9, times=10))
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    deliver_due(hook.opened)
    assert len(hook.lago.requests) == 1


def test_receiver_that_is_away_is_told_later(hook_sqlite: Hooked) -> None:
    hook = hook_sqlite
    hook.lago.statuses[:] = [503, 200]
    hook.message(drafted(7))
    assert deliver_due(hook.opened).postponed == 1
    with hook.served.store.transaction() as tx:
        tx.execute("UPDATE outbox SET next_attempt_at = '2026-01-01T00:00:00.000000Z'")
    assert deliver_due(hook.opened).delivered == 1
    ids = {one.headers["webhook-id"] for one in hook.lago.requests}
    assert len(ids) == 1


def test_decision_that_a_newer_version_overtook_is_not_told(hook: Hooked) -> None:
    hook.message(drafted(9, times=10))
    hook.message(drafted(9, times=1))
    deliver_due(hook.opened)
    assert [one["action"] for one in heard(hook.lago)] == ["release"]
    assert sorted(status for _, status in hook.told("INV-202611-00009")) == ["delivered", "lapsed"]


def test_newest_decision_is_told_last_though_an_older_was_on_its_way(
    hook: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker has the hold in hand while the engine corrects the draft and hears its release."""
    from prebill.connectors.billing_engines.signed import SignedEngine

    hook.message(drafted(9, times=10))
    send: Callable[..., None] = SignedEngine.send
    overtaken: list[int] = []

    def slow(self: SignedEngine, delivery_id: str, body: bytes) -> None:
        if not overtaken:
            overtaken.append(1)
            hook.message(drafted(9, times=1))
            deliver_due(hook.opened)
        send(self, delivery_id, body)

    monkeypatch.setattr(SignedEngine, "send", slow)
    deliver_due(hook.opened)
    assert [one["action"] for one in heard(hook.lago)][-1] == "release"


def test_gone_draft_closes_its_case(hook: Hooked) -> None:
    hook.message(drafted(9, times=10))
    data = {"invoice_id": "INV-202611-00009", "status": "deleted"}
    assert hook.message(data, "invoice.gone").status_code == 200
    assert hook.state("INV-202611-00009") == "withdrawn"
    assert hook.message(data, "invoice.gone").status_code == 200


def test_rows_that_break_the_contract_are_named(hook_sqlite: Hooked) -> None:
    data = drafted(9)
    data["invoices"][0]["currency"] = "EURO"
    answer = hook_sqlite.message(data)
    assert (answer.status_code, answer.json()["code"]) == (422, "input")
    assert "currency" in answer.json()["detail"]
