"""The Stripe connector against an account that behaves as the public API says."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from prebill.connectors.billing_engines.stripe import Rows, Stripe, rows_of
from prebill.core.errors import (
    InputError,
    PermanentError,
    TransientError,
    UnauthenticatedError,
)
from tests.connectors.billing_engines.account import Account, account
from tests.connectors.billing_engines.shapes import (
    CREATED,
    KEY,
    SECRET,
    body_of,
    event,
    invoice,
    line,
    signed,
)

NOW = datetime.fromtimestamp(CREATED, UTC)


@pytest.fixture
def stripe_account() -> Iterator[Account]:
    with account() as found:
        yield found


@pytest.fixture
def stripe(stripe_account: Account) -> Iterator[Stripe]:
    engine = Stripe(KEY, SECRET, url=stripe_account.url)
    yield engine
    engine.close()


def decision(action: str, rows: Rows | None = None, **given: Any) -> bytes:
    usual = {
        "invoice_id": "in_1",
        "content_digest": rows.digest if rows else "",
        "action": action,
        "decided_by": "policy",
        "reason": "10.0x the usual total",
        "case_id": "case:in_1:abc",
    }
    return json.dumps({"type": "invoice.decided", "data": usual | given}).encode()


def seen(one: dict[str, Any]) -> Rows:
    return rows_of(one, one["lines"]["data"])


# ── Signature ────────────────────────────────────────────────────────────────────────────────

BODY = body_of(event("invoice.created", invoice()))


def test_signed_event_is_believed(stripe: Stripe) -> None:
    found = stripe.verify(signed(BODY, CREATED), BODY, NOW)
    assert (found.event_id, found.kind, found.payload["id"]) == ("evt_1", "invoice.created", "in_1")


def test_any_of_several_signatures_will_do_while_a_secret_is_rolled(stripe: Stripe) -> None:
    headers = signed(BODY, CREATED, "whsec_the next secret", SECRET)
    headers["stripe-signature"] += ",v0=something of a test mode"
    assert stripe.verify(headers, BODY, NOW).event_id == "evt_1"


@pytest.mark.parametrize("late", [-301, 301, 86_400])
def test_event_of_another_time_is_refused(stripe: Stripe, late: int) -> None:
    with pytest.raises(UnauthenticatedError):
        stripe.verify(signed(BODY, CREATED + late), BODY, NOW)


@pytest.mark.parametrize(
    "header",
    ["", "v1=abc", f"t={CREATED}", f"t={CREATED},v1=", "t=x,v1=abc", f"t={CREATED},v1=é", "t=²"],
)
def test_header_that_is_no_signature_is_refused(stripe: Stripe, header: str) -> None:
    with pytest.raises(UnauthenticatedError):
        stripe.verify({"stripe-signature": header}, BODY, NOW)


def test_changed_body_other_secret_and_second_time_are_refused(stripe: Stripe) -> None:
    headers = signed(BODY, CREATED)
    with pytest.raises(UnauthenticatedError):
        stripe.verify(headers, BODY.replace(b"in_1", b"in_2"), NOW)
    with pytest.raises(UnauthenticatedError):
        stripe.verify(signed(BODY, CREATED, "whsec_other"), BODY, NOW)
    old = signed(BODY, CREATED - 9_999)["stripe-signature"]
    with pytest.raises(UnauthenticatedError):  # an old signature under a fresh time
        stripe.verify({"stripe-signature": f"t={CREATED},{old}"}, BODY, NOW)


@pytest.mark.parametrize("body", [b"no json", b"[]", b'{"id": 1}', b'{"data": {}}'])
def test_signed_nonsense_is_named(stripe: Stripe, body: bytes) -> None:
    with pytest.raises(InputError):
        stripe.verify(signed(body, CREATED), body, NOW)


# ── Reading ──────────────────────────────────────────────────────────────────────────────────


def about(stripe: Stripe, kind: str, one: dict[str, Any]) -> Any:
    body = body_of(event(kind, one))
    return stripe.read(stripe.verify(signed(body, CREATED), body, NOW))


def test_draft_is_read_as_it_is_now_and_not_as_the_event_says(
    stripe: Stripe, stripe_account: Account
) -> None:
    stripe_account.add(invoice(line(amount=99_000)))
    found = about(stripe, "invoice.created", invoice())
    assert found.invoices[0]["total_minor"] == 99_000
    assert found.advancing == {"in_1"}
    assert found.gone == {}


def test_every_page_of_lines_is_read(stripe: Stripe, stripe_account: Account) -> None:
    lines = [line(number, amount=number) for number in range(1, 238)]
    stripe_account.add(invoice(*lines))
    found = about(stripe, "invoice.updated", invoice())
    assert sum(one["amount_minor"] for one in found.invoice_lines) == sum(range(1, 238))
    assert len(stripe_account.calls) == 4  # the invoice with ten lines, then 100, 100 and 27


@pytest.mark.parametrize("kind", ["invoice.upcoming", "customer.created", "charge.refunded"])
def test_other_events_ask_for_nothing(stripe: Stripe, stripe_account: Account, kind: str) -> None:
    found = about(stripe, kind, {"object": "something"})
    assert (found.invoices, found.gone, stripe_account.calls) == ([], {}, [])


@pytest.mark.parametrize(
    ("kind", "status", "told"),
    [
        ("invoice.finalized", "open", "open"),
        ("invoice.voided", "void", "void"),
        ("invoice.deleted", "draft", "deleted"),
        ("invoice.updated", "paid", "paid"),
    ],
)
def test_what_is_no_draft_any_more_is_gone(
    stripe: Stripe, stripe_account: Account, kind: str, status: str, told: str
) -> None:
    assert about(stripe, kind, invoice(status=status)).gone == {"in_1": told}
    assert stripe_account.calls == []


def test_draft_that_was_deleted_or_issued_meanwhile_is_gone(
    stripe: Stripe, stripe_account: Account
) -> None:
    assert about(stripe, "invoice.created", invoice()).gone == {"in_1": "deleted"}
    stripe_account.add(invoice(status="open"))
    assert about(stripe, "invoice.created", invoice()).gone == {"in_1": "open"}


def test_invoice_of_another_shape_is_a_work_item(stripe: Stripe, stripe_account: Account) -> None:
    stripe_account.add(invoice(currency=None))
    with pytest.raises(PermanentError):
        about(stripe, "invoice.created", invoice())
    stripe_account.add(invoice(customer=None))
    with pytest.raises(PermanentError, match="another shape"):
        about(stripe, "invoice.created", invoice())


# ── Decisions ────────────────────────────────────────────────────────────────────────────────


def test_hold_stops_the_draft_and_says_why_on_it(stripe: Stripe, stripe_account: Account) -> None:
    one = invoice()
    stripe_account.add(one)
    stripe.send("d1", decision("hold", seen(one)))
    held = stripe_account.invoices["in_1"]
    assert (held["auto_advance"], held["status"]) == (False, "draft")
    assert held["metadata"] == {
        "prebill_action": "hold",
        "prebill_case": "case:in_1:abc",
        "prebill_reason": "10.0x the usual total",
        "prebill_held": "true",
    }
    stripe.send("d1", decision("hold", seen(one)))
    assert len(stripe_account.changes("in_1")) == 1  # a second time there is nothing to change


def test_release_by_a_person_finalizes_once(stripe: Stripe, stripe_account: Account) -> None:
    one = invoice()
    stripe_account.add(one)
    stripe.send("d1", decision("review", seen(one)))
    release = decision("release", seen(one), decided_by="person", reason="unusual_but_right")
    for _ in range(2):
        stripe.send("d2", release)
    issued = stripe_account.invoices["in_1"]
    assert (issued["status"], issued["auto_advance"]) == ("open", True)
    assert issued["metadata"]["prebill_action"] == "release"
    finalized = [path for path in stripe_account.changes("in_1") if path.endswith("finalize")]
    assert len(finalized) == 1


def test_release_by_policy_lets_stripe_go_on(stripe: Stripe, stripe_account: Account) -> None:
    one = invoice()
    stripe_account.add(one)
    stripe.send("d1", decision("release", seen(one), case_id=None))
    assert stripe_account.changes("in_1") == []  # it was never stopped
    stripe.send("d2", decision("hold", seen(one)))
    stripe.send("d3", decision("release", seen(one), case_id=None))
    found = stripe_account.invoices["in_1"]
    assert (found["status"], found["auto_advance"]) == ("draft", True)
    assert "prebill_held" not in found["metadata"]


def test_draft_that_its_owner_keeps_is_left_to_its_owner(
    stripe: Stripe, stripe_account: Account
) -> None:
    one = invoice(auto_advance=False)
    stripe_account.add(one)
    stripe.send("d1", decision("hold", seen(one)))
    assert "prebill_held" not in stripe_account.invoices["in_1"]["metadata"]
    stripe.send("d2", decision("release", seen(one), decided_by="person"))
    found = stripe_account.invoices["in_1"]
    assert (found["status"], found["auto_advance"]) == ("draft", False)
    assert found["metadata"]["prebill_action"] == "release"


def test_rejection_keeps_the_draft_and_voids_nothing(
    stripe: Stripe, stripe_account: Account
) -> None:
    one = invoice()
    stripe_account.add(one)
    stripe.send("d1", decision("reject", seen(one), decided_by="person", reason="duplicate"))
    found = stripe_account.invoices["in_1"]
    assert (found["status"], found["auto_advance"]) == ("draft", False)
    assert found["metadata"]["prebill_action"] == "reject"
    assert {method for method, _ in stripe_account.calls} == {"GET", "POST"}


def test_changed_draft_is_not_issued_on_an_old_release(
    stripe: Stripe, stripe_account: Account
) -> None:
    one = invoice()
    stripe_account.add(one)
    stripe.send("d1", decision("hold", seen(one)))
    one["lines"]["data"] = [line(amount=13_000)]
    with pytest.raises(PermanentError, match="changed after it was released"):
        stripe.send("d2", decision("release", seen(invoice()), decided_by="person"))
    assert stripe_account.invoices["in_1"]["status"] == "draft"


def test_invoice_that_got_out_before_it_was_stopped_is_a_work_item(
    stripe: Stripe, stripe_account: Account
) -> None:
    stripe_account.add(invoice(status="open"))
    with pytest.raises(PermanentError, match="before it could be stopped"):
        stripe.send("d1", decision("hold"))


def test_nothing_is_left_to_do_for_a_deleted_draft(stripe: Stripe) -> None:
    for action in ("hold", "reject", "release"):
        stripe.send("d1", decision(action))


def test_what_can_not_be_judged_is_stopped(stripe: Stripe, stripe_account: Account) -> None:
    stripe_account.add(invoice())
    body = body_of(event("invoice.created", invoice()))
    found = stripe.verify(signed(body, CREATED), body, NOW)
    assert stripe.stop(found, "no profile was prepared yet") == "in_1"
    held = stripe_account.invoices["in_1"]
    assert (held["auto_advance"], held["metadata"]["prebill_action"]) == (False, "stopped")
    stripe_account.add(invoice(status="open"))
    assert stripe.stop(found, "x") is None


# ── Failures ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_answer_that_may_mend_is_transient(
    stripe: Stripe, stripe_account: Account, status: int
) -> None:
    stripe_account.add(invoice())
    stripe_account.failures[("POST", "in_1")] = [status]
    with pytest.raises(TransientError, match=str(status)):
        stripe.send("d1", decision("hold"))
    stripe.send("d1", decision("hold"))
    assert stripe_account.invoices["in_1"]["auto_advance"] is False


@pytest.mark.parametrize("status", [400, 402, 403, 404])
def test_refusal_is_permanent_and_names_no_secret(
    stripe: Stripe, stripe_account: Account, status: int
) -> None:
    stripe_account.add(invoice())
    stripe_account.failures[("POST", "in_1")] = [status]
    with pytest.raises(PermanentError, match=str(status)) as refused:
        stripe.send("d1", decision("hold"))
    assert KEY not in str(refused.value)


def test_wrong_key_is_permanent(stripe_account: Account) -> None:
    wrong = Stripe("rk_test_other", SECRET, url=stripe_account.url)
    with pytest.raises(PermanentError, match="refused the API key") as refused:
        wrong.send("d1", decision("hold"))
    wrong.close()
    assert "rk_test_other" not in str(refused.value)


def test_no_answer_is_transient_and_no_address_permanent() -> None:
    with account() as gone:
        url = gone.url
    for place, error in ((url, TransientError), ("ftp://127.0.0.1", PermanentError)):
        engine = Stripe(KEY, SECRET, url=place)
        with pytest.raises(error):
            engine.send("d1", decision("hold"))
        engine.close()
