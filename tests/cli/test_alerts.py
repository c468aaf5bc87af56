"""`prebill alerts …` as somebody types it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from prebill.bootstrap import Installation
from prebill.cli import app
from prebill.core.errors import ForbiddenError, UnauthenticatedError
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.store.users import Role
from prebill.workflows.alerting import look
from tests.api.builders import Person, add_people
from tests.connectors.notify.mail_server import MailServer, mailing
from tests.workflows.alarmed import NOW, late_case

Typed = Callable[..., Result]


@pytest.fixture
def people(home: Path, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> dict[Role, Person]:
    """A company with one late case, and one alert of it."""
    url = sqlite_store.url.render_as_string(hide_password=False)
    monkeypatch.setenv("PREBILL_DATABASE_URL", url)
    (home / "alerts.toml").write_text('owners = {default = "ops@example.com"}\n', encoding="utf-8")
    monkeypatch.setenv("PREBILL_ALERTS_PATH", str(home / "alerts.toml"))
    with sqlite_store.transaction() as tx:
        late_case(tx)
    found = add_people(sqlite_store)
    opened = Installation.open(Settings.load())
    look(opened, NOW)
    opened.close()
    return found


@pytest.fixture
def typed(people: dict[Role, Person], monkeypatch: pytest.MonkeyPatch) -> Typed:
    def run(role: Role | None, *arguments: str) -> Result:
        monkeypatch.setenv("PREBILL_TOKEN", people[role].token if role else "")
        return CliRunner().invoke(app, ["alerts", *arguments])

    return run


def test_a_viewer_lists_and_a_stranger_does_not(typed: Typed) -> None:
    listed = typed(Role.VIEWER, "list")
    assert "Cases are past their deadline: queue billing" in listed.output
    assert "owner ops@example.com; nobody looks after it" in listed.output
    (row,) = json.loads(typed(Role.VIEWER, "list", "--json").output)
    assert "case_past_due:billing" == row["cause"]
    assert isinstance(typed(None, "list").exception, UnauthenticatedError)


def test_roles_decide_who_does_what(typed: Typed) -> None:
    for command in (["acknowledge", "1"], ["resolve", "1", "--reason", "x"], ["test"], ["retry"]):
        assert isinstance(typed(Role.VIEWER, *command).exception, ForbiddenError)
    for command in (["resolve", "1", "--reason", "x"], ["test"], ["retry"]):
        assert isinstance(typed(Role.REVIEWER, *command).exception, ForbiddenError)
    assert "you look after it" in typed(Role.REVIEWER, "acknowledge", "1").output
    assert "user-reviewer looks after it" in typed(Role.VIEWER, "list").output
    assert "resolved: Cases" in typed(Role.CONTROLLER, "resolve", "1", "--reason", "x").output
    assert "no alert is open" in typed(Role.VIEWER, "list").output
    assert "resolved by user-controller" in typed(Role.VIEWER, "list", "--past", "3").output


def test_the_channels_are_tried(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    none = typed(Role.CONTROLLER, "test")
    assert (1, True) == (none.exit_code, "no channel is set up" in none.output)
    with mailing() as server:
        monkeypatch.setenv("PREBILL_SMTP_URL", server.url)
        done = typed(Role.CONTROLLER, "test")
    assert (0, "mail ops@example.com: taken\n") == (done.exit_code, done.output)
    assert 1 == len(server.mails)
    with mailing(MailServer(codes={"RCPT": [550]})) as server:
        monkeypatch.setenv("PREBILL_SMTP_URL", server.url)
        failed = typed(Role.CONTROLLER, "test")
    assert (1, True) == (failed.exit_code, "refused the recipient (550)" in failed.output)
    assert "0 messages are sent again" in typed(Role.CONTROLLER, "retry").output


def test_doctor_names_the_channels(
    people: dict[Role, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no mail (no PREBILL_SMTP_URL)" in CliRunner().invoke(app, ["doctor"]).output
    monkeypatch.setenv("PREBILL_SMTP_URL", "smtps://mail.example.com")
    monkeypatch.setenv("PREBILL_ALERT_WEBHOOK_URL", "https://example.com")
    shown = CliRunner().invoke(app, ["doctor"]).output
    assert "mail through mail.example.com:465 to 1 addresses" in shown
    assert "PREBILL_ALERT_WEBHOOK_SECRET is not set" in shown
    monkeypatch.setenv("PREBILL_SMTP_URL", "smtp://u:secret@h")
    shown = CliRunner().invoke(app, ["doctor"]).output
    assert "PREBILL_SMTP_URL is no address" in shown
    assert "secret@" not in shown


def test_verifying_the_audit_log_by_hand_is_kept(
    people: dict[Role, Person], sqlite_store: Store
) -> None:
    assert 0 == CliRunner().invoke(app, ["audit", "verify"]).exit_code
    with sqlite_store.read() as tx:
        row = tx.get("checks", check_name="audit_broken")
    assert (0, True) == (row["problems"], row["checked_at"] is not None)
