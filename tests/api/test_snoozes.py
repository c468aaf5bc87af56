"""Snoozes over HTTP and from the terminal: who may, what is said, and what the hook then does."""

from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner, Result

from prebill.cli import app
from prebill.core.errors import ForbiddenError, InputError, NotFoundError
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.store.users import Role
from tests.api.builders import Person, add_people
from tests.api.conftest import Served
from tests.api.gate import gate, sent
from tests.api.history import invoice

TOMORROW = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
TENFOLD = invoice(8, 12, times=10)
ORDER = {"rule_id": "anomaly-hold", "customer_id": "C1", "reason": "new price agreed"}


def test_snooze_is_made_listed_and_ended(served: Served) -> None:
    body = {**ORDER, "until_at": TOMORROW.isoformat()}
    key = {"Idempotency-Key": "once"}
    made = served.send("POST", "/v1/snoozes", Role.CONTROLLER, json=body, headers=key)
    assert 201 == made.status_code, made.text
    again = served.send("POST", "/v1/snoozes", Role.CONTROLLER, json=body, headers=key)
    assert made.json() == again.json()
    twice = served.send("POST", "/v1/snoozes", Role.CONTROLLER, json=body)
    assert 409 == twice.status_code
    (found,) = served.send("GET", "/v1/snoozes", Role.VIEWER).json()
    assert ORDER == {name: found[name] for name in ORDER}
    name = made.json()["snooze_id"]
    assert 200 == served.send("POST", f"/v1/snoozes/{name}:end", Role.CONTROLLER).status_code
    assert 404 == served.send("POST", f"/v1/snoozes/{name}:end", Role.CONTROLLER).status_code
    assert [] == served.send("GET", "/v1/snoozes", Role.VIEWER).json()


@pytest.mark.parametrize(
    "change",
    [{"rule_id": "nope"}, {"until_at": "2020-01-01T00:00Z"}, {"until_at": None}, {"reason": ""}],
)
def test_wrong_snooze_is_refused(served: Served, change: dict) -> None:
    body = {**ORDER, "until_at": TOMORROW.isoformat(), **change}
    answer = served.send("POST", "/v1/snoozes", Role.CONTROLLER, json=body)
    assert answer.status_code in {400, 422}, answer.text


@pytest.fixture
def people(settings: Settings) -> dict[Role, Person]:
    store = Store(settings.database_url)
    store.create_all()
    found = add_people(store)
    store.close()
    return found


def run(person: Person, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["policy", *arguments], env={"PREBILL_TOKEN": person.token})


def test_snooze_from_the_terminal(people: dict[Role, Person]) -> None:
    asked = ["snooze", "anomaly-hold", "C1", "--until", f"{TOMORROW:%Y-%m-%d}", "--reason", "known"]
    refused = run(people[Role.REVIEWER], *asked)
    assert isinstance(refused.exception, ForbiddenError)
    controller = people[Role.CONTROLLER]
    made = run(controller, *asked)
    assert made.exit_code == 0, made.output
    name = made.output.split()[0]
    listed = run(people[Role.VIEWER], "snoozes").output
    assert name in listed
    assert "known" in listed
    assert run(controller, "end-snooze", name).exit_code == 0
    assert "nothing is snoozed" in run(controller, "snoozes").output
    assert name in run(controller, "snoozes", "--past").output
    assert isinstance(run(controller, "end-snooze", name).exception, NotFoundError)
    wrong = run(controller, "snooze", "nope", *asked[2:])
    assert isinstance(wrong.exception, InputError)


def test_incidents_from_the_terminal(people: dict[Role, Person]) -> None:
    controller = people[Role.CONTROLLER]
    assert "no incident is open" in run(people[Role.VIEWER], "incidents").output
    missing = run(controller, "close-incident", "run-1", "--note", "done")
    assert isinstance(missing.exception, NotFoundError)
    refused = run(people[Role.REVIEWER], "close-incident", "run-1", "--note", "done")
    assert isinstance(refused.exception, ForbiddenError)


def test_hook_leaves_a_snoozed_rule_out_for_its_customer(
    sqlite_store: Store, settings: Settings, lake: Lake
) -> None:
    with gate(sqlite_store, settings, lake) as served:
        first = sent(served, TENFOLD)
        assert "release" != first["action"] == first["proposed_action"]
        for rule in first["rules"].split(","):
            order = {**ORDER, "rule_id": rule, "customer_id": TENFOLD["customer_id"]}
            body = {**order, "until_at": TOMORROW.isoformat()}
            made = served.send("POST", "/v1/snoozes", Role.CONTROLLER, json=body)
            assert 201 == made.status_code, made.text
        changed = {**TENFOLD, "payment_terms": "as agreed by mail"}
        second = sent(served, changed)
        assert ("release", "release") == (second["action"], second["proposed_action"])
        assert {f"snoozed:{rule}" for rule in first["rules"].split(",")} <= set(
            second["rules"].split(",")
        )
