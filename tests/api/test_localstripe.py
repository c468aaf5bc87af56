"""The live hook against localstripe, a Stripe imitation of other authors, as a process of its own.

It drafts invoices of subscriptions, signs its webhooks and gives the invoices back, in an older
shape. It knows neither ``auto_advance`` nor ``/finalize``: the account in front of it answers for
these, see tests/connectors/billing_engines/account.py.
"""

import calendar
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from prebill.bootstrap import Installation
from prebill.core.calendar import add_months
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.store.users import Role, bind_secret
from prebill.workflows.deliver import deliver_due
from prebill.workflows.profiles import prepare_profiles
from tests.api.builders import add_person
from tests.api.conftest import Served, serving
from tests.api.gate import RIGHT, decide, rows
from tests.api.history import add_history, amount_minor, customer_name
from tests.connectors.billing_engines.account import Account, account
from tests.connectors.billing_engines.shapes import KEY, SECRET
from tests.connectors.notify.receiver import receiving

PROGRAM = Path(sys.executable).with_name("localstripe")
QUANTITY = 1_000


@dataclass(frozen=True, slots=True)
class Live:
    """localstripe, what it lacks, and the gate that listens to it."""

    url: str
    stripe: Account
    served: Served
    opened: Installation

    def call(self, method: str, path: str, **form: Any) -> dict[str, Any]:
        headers = {"Authorization": "Bearer sk_test_localstripe"}
        answer = httpx.request(method, f"{self.url}{path}", headers=headers, json=form or None)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def draft(self, number: int, *, times: int) -> str:
        """Let it draft last month's invoice of a customer; returns the invoice's id."""
        month = add_months(this_month(), -1)
        started_at = calendar.timegm(month.timetuple())
        price = round(amount_minor(number, 12) / QUANTITY) * times
        plan = self.call(
            "POST",
            "/v1/plans",
            product=self.product(),
            amount=price,
            currency="eur",
            interval="month",
        )
        customer = self.call("POST", "/v1/customers", name="A customer")["id"]
        with self.served.store.transaction() as tx:
            link = {"system": "engine", "external_id": customer}
            tx.insert("customer_links", {**link, "customer_id": customer_name(number)})
        subscription = self.call(
            "POST",
            "/v1/subscriptions",
            customer=customer,
            items=[{"plan": plan["id"], "quantity": QUANTITY}],
            backdate_start_date=started_at,
            trial_period_days=1,  # it makes no invoice of its own then
        )
        made = self.call("POST", "/v1/invoices", customer=customer, subscription=subscription["id"])
        return str(made["id"])

    def product(self) -> str:
        found = self.call("GET", "/v1/products")["data"]
        if not found:
            self.call("POST", "/v1/products", id="seats", name="Seats")
        return "seats"

    def state(self, invoice_id: str) -> str:
        """State of the draft here, as soon as the webhook came and was answered."""
        told = "SELECT 1 FROM outbox WHERE draft_id = :id AND status = 'delivered'"
        wait_for(lambda: rows(self.served, told, id=invoice_id))
        statement = "SELECT state FROM engine_drafts WHERE draft_id = :id"
        return str(rows(self.served, statement, id=invoice_id)[0]["state"])


def this_month() -> date:
    """First day of the month: localstripe's clock is the machine's."""
    return datetime.now(UTC).date().replace(day=1)


def wait_for(come: Callable[[], object]) -> None:
    """localstripe sends a second after the event."""
    deadline = time.monotonic() + 30
    while not come():
        assert time.monotonic() < deadline, "no webhook came"
        time.sleep(0.05)


@pytest.fixture
def live(sqlite_store: Store, settings: Settings, lake: Lake) -> Iterator[Live]:
    with localstripe() as url, account(upstream=url) as stripe:
        given = {"stripe_api_key": KEY, "stripe_webhook_secret": SECRET}
        chosen = Settings.load(settings.home, **given, stripe_api_url=stripe.url)
        opened = Installation(chosen, sqlite_store, lake)
        with serving(sqlite_store, chosen, lake) as served:
            add_history(sqlite_store, lake, start=add_months(this_month(), -13))
            prepare_profiles(opened)
            person = add_person(sqlite_store, Role.VIEWER, name="Stripe engine")
            with sqlite_store.transaction() as tx:
                ends_at = datetime.now(UTC) + timedelta(days=1)
                bind_secret(tx, person.actor.user_id, "stripe", SECRET, expires_at=ends_at)
            made = Live(url, stripe, served, opened)
            hook = {"url": f"{served.url}/v1/webhooks/stripe", "secret": SECRET}
            assert httpx.post(f"{url}/_config/webhooks/gate", json=hook).is_success
            yield made


@contextmanager
def localstripe() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(PROGRAM), "--port", str(port), "--from-scratch"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                httpx.get(f"{url}/v1/balance", headers={"Authorization": "Bearer sk_test_x"})
                break
            except httpx.TransportError:
                assert process.poll() is None, "localstripe ended"
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def test_its_signed_event_leads_from_draft_to_issue(live: Live) -> None:
    ordinary, tenfold = live.draft(7, times=1), live.draft(8, times=10)
    assert live.state(ordinary) == "released"
    assert live.state(tenfold) in {"held", "in_review"}
    held = live.stripe.invoices[tenfold]
    assert (held["auto_advance"], held["status"]) == (False, "draft")
    assert live.stripe.changes(ordinary) == []
    (case,) = rows(live.served, "SELECT * FROM cases WHERE kind = 'gate'")
    assert case["draft_id"] == tenfold
    shown = live.served.get(f"/v1/cases/{case['case_id']}").json()
    assert shown["customer_id"] == customer_name(8)
    assert shown["total_minor"] == live.call("GET", f"/v1/invoices/{tenfold}")["total"]
    assert decide(live.served, case["case_id"], "release", RIGHT).is_success
    assert deliver_due(live.opened).delivered == 1
    assert live.stripe.invoices[tenfold]["status"] == "open"


def test_its_signature_with_another_secret_is_refused(live: Live) -> None:
    with receiving() as after:  # it hears each event after the gate
        for name, url in (("gate", f"{live.served.url}/v1/webhooks/stripe"), ("last", after.url)):
            hook = {"url": url, "secret": "whsec_another", "events": ["invoice.created"]}
            assert httpx.post(f"{live.url}/_config/webhooks/{name}", json=hook).is_success
        live.draft(7, times=1)
        wait_for(lambda: after.requests)
    assert rows(live.served, "SELECT * FROM engine_drafts") == []
