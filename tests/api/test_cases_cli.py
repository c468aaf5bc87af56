"""The queue from the terminal: the token says who acts."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from prebill.cli import app
from prebill.core.errors import ConflictError, ForbiddenError, InputError, UnauthenticatedError
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.store.users import Role
from tests.api.builders import Person, add_people, add_waiting


@pytest.fixture
def people(settings: Settings) -> dict[Role, Person]:
    """Everybody, in the home that the commands use, with two waiting cases."""
    store = Store(settings.database_url)
    store.create_all()
    found = add_people(store)
    with store.transaction() as tx:
        add_waiting(tx, 1)
        add_waiting(tx, 2, priority=1.0)
    store.close()
    return found


CASE = "case:DE:2026-10:SUB-00001:v1"


def run(*arguments: str, token: str = "") -> Result:
    return CliRunner().invoke(app, list(arguments), env={"PREBILL_TOKEN": token})


def test_cases_are_listed_whole(people: dict[Role, Person]) -> None:
    token = people[Role.VIEWER].token
    shown = run("cases", token=token)
    assert CASE in shown.output
    assert "2 cases, expected loss 93.00 EUR" in shown.output
    found = json.loads(run("cases", "--json", "--limit", "1", token=token).output)
    assert [one["case_id"] for one in found] == [CASE]


def test_show_sets_expected_beside_billed(people: dict[Role, Person]) -> None:
    shown = run("cases", "show", CASE, token=people[Role.VIEWER].token).output
    assert "Held: 50.00 EUR more than expected, 93 % likely wrong." in shown
    assert "+50.00" in shown


def test_release_acts_for_the_owner_of_the_token(people: dict[Role, Person]) -> None:
    reviewer = people[Role.REVIEWER]
    done = run("release", CASE, "--reason", "unusual_but_right", token=reviewer.token)
    assert done.exit_code == 0, done.output
    assert "decided by Reviewer Person" in done.output
    again = run("release", CASE, "--reason", "unusual_but_right", token=reviewer.token)
    assert isinstance(again.exception, ConflictError)


def test_next_case_is_claimed_shown_and_given_back(people: dict[Role, Person]) -> None:
    mine, other = people[Role.REVIEWER].token, people[Role.CONTROLLER].token
    assert CASE in run("cases", "next", token=mine).output
    assert "Reviewer Person works on it" in run("cases", token=other).output
    refused = run("cases", "claim", CASE, token=other)
    assert isinstance(refused.exception, ConflictError)
    assert "is yours" in run("cases", "claim", CASE, "--take-over", token=other).output
    assert "is free" in run("cases", "let-go", CASE, token=other).output
    assert "nothing waits" in run("cases", "next", "--queue", "none", token=mine).output
    looks = run("cases", "next", token=people[Role.VIEWER].token)
    assert isinstance(looks.exception, ForbiddenError)


@pytest.mark.parametrize("arguments", [("cases",), ("cases", "show", CASE)], ids=" ".join)
def test_a_stranger_sees_no_case(people: dict[Role, Person], arguments: tuple[str, ...]) -> None:
    refused = run(*arguments)
    assert isinstance(refused.exception, UnauthenticatedError)
    assert CASE not in refused.output


def test_nobody_acts_without_a_token_or_for_another(people: dict[Role, Person]) -> None:
    arguments = ("reject", CASE, "--reason", "duplicate")
    assert isinstance(run(*arguments).exception, UnauthenticatedError)
    assert isinstance(run(*arguments, token="prebill_no").exception, UnauthenticatedError)
    viewer = people[Role.VIEWER].token
    assert isinstance(run(*arguments, token=viewer).exception, ForbiddenError)
    named = (*arguments, "--as", people[Role.CONTROLLER].email)
    reviewer = people[Role.REVIEWER].token
    assert isinstance(run(*named, token=reviewer).exception, ForbiddenError)


def test_correction_needs_content(people: dict[Role, Person]) -> None:
    reviewer = people[Role.REVIEWER].token
    arguments = ("correct", CASE, "--reason", "wrong_price", "--kind", "phase")
    assert isinstance(run(*arguments, token=reviewer).exception, InputError)
    assert run(*arguments, "--set", "quantity", token=reviewer).exit_code == 2


def test_case_is_handled_from_the_terminal(people: dict[Role, Person], tmp_path: Path) -> None:
    token, other = people[Role.REVIEWER].token, people[Role.CONTROLLER].token
    file = tmp_path / "mail.txt"
    file.write_text("agreed")
    done = run("cases", "comment", CASE, "See the mail", "--file", str(file), token=token)
    assert 0 == done.exit_code, done.output
    asked = run("cases", "ask", CASE, "Agreed?", "--of", "controller@example.com", token=token)
    assert f"{CASE}: done." in asked.output
    assert CASE in run("cases", token=token).output  # its deadline passed: it can't wait for that
    assert 0 == run("cases", "answer", CASE, "Yes", token=other).exit_code
    late = run("cases", "snooze", CASE, "x", "--until", "2099-01-01T09:00", token=token)
    assert "past its deadline" in str(late.exception)
    assert 0 == run("cases", "escalate", CASE, "Too large for me", token=token).exit_code
    refused = run("release", CASE, "--reason", "unusual_but_right", token=token)
    assert isinstance(refused.exception, ForbiddenError)
    assert isinstance(run("cases", "send-back", CASE, "No", token=token).exception, ForbiddenError)
    assert 0 == run("cases", "send-back", CASE, "Release it", token=other).exit_code
    assert 0 == run("cases", "wake", CASE, token=token).exit_code


def test_stand_in_is_named_from_the_terminal(people: dict[Role, Person]) -> None:
    token = people[Role.CONTROLLER].token
    dates = ("--from", "2026-01-01", "--until", "2099-01-01")
    made = run(
        *("authority", "delegate", "reviewer@example.com", *dates, "--reason", "Leave"), token=token
    )
    assert 0 == made.exit_code, made.output
    listed = run("authority", "list", token=token).output
    assert "Reviewer Person stands in for Controller Person" in listed
    assert 0 == run("authority", "end", made.output.strip(), token=token).exit_code
    assert "nobody stands in" in run("authority", "list", token=token).output
    refused = run("authority", "review", CASE, "Fine", token=people[Role.REVIEWER].token)
    assert isinstance(refused.exception, ForbiddenError)


def test_groups_are_listed_from_the_terminal(people: dict[Role, Person]) -> None:
    token = people[Role.REVIEWER].token
    assert "no cause is shared" in run("groups", token=token).output
    missing = run("groups", "decide", "none", "release", "--reason", "looked_right", token=token)
    assert missing.exit_code != 0
    assert 2 == run("groups", "decide", "none", "keep", "--reason", "x", token=token).exit_code
