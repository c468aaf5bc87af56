"""The life of a policy as people type it; the token says who acts."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from prebill.cli import app
from prebill.core.errors import (
    ConflictError,
    ForbiddenError,
    InputError,
    NotFoundError,
    PolicyError,
    UnauthenticatedError,
)
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.store.users import Role
from tests.api.builders import Person, add_people
from tests.workflows.lives import text


@pytest.fixture
def people(settings: Settings) -> dict[Role, Person]:
    """Everybody, in the home that the commands use."""
    store = Store(settings.database_url)
    store.create_all()
    found = add_people(store)
    store.close()
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "next.yaml"
    path.write_text(text("next"), encoding="utf-8")
    return path


def run(*words: object, by: Person | None = None) -> Result:
    token = by.token if by else ""
    arguments = ["policy", *map(str, words)]
    return CliRunner().invoke(app, arguments, env={"PREBILL_TOKEN": token})


def done(*words: object, by: Person) -> str:
    result = run(*words, by=by)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_from_draft_to_live_and_back(people: dict[Role, Person], file: Path) -> None:
    ann, ben = people[Role.CONTROLLER], people[Role.ADMIN]
    assert "in force: default" in done("list", by=ann)
    drafted = done("draft", file, "--note", "a dearer review", by=ann)
    assert "policy 1 (next, " in drafted
    assert "prebill policy submit 1" in drafted
    file.write_text(text("better", minutes=9), encoding="utf-8")
    assert "better" in done("draft", file, "--into", 1, by=ann)
    assert "prebill policy approve 1" in done("submit", 1, by=ann)
    refused = run("approve", 1, by=ann)
    assert isinstance(refused.exception, ForbiddenError)
    assert "somebody other than the author" in str(refused.exception)
    assert "prebill policy activate 1" in done("approve", 1, by=ben)
    assert "in force from 2098-12-31T23:00" in done(
        "activate", 1, "--at", "2099-01-01T00:00:00+01:00", by=ben
    )
    assert "policy 1 (better" in done("activate", 1, by=ben)
    assert "*   1  live" in done("list", by=people[Role.VIEWER])
    assert "name: better" in done("show", by=people[Role.VIEWER])
    assert "policy 0 (default" in done("rollback", "--reason", "too dear", by=ann)
    told = done("history", 1, by=ann)
    (begun, *_, ended) = told.splitlines()
    assert "drafted      Controller Person" in begun
    assert ended.endswith("rolled_back  Controller Person: too dear".replace("_", " "))


def test_doctor_and_lint_say_what_is_in_force(
    people: dict[Role, Person], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def doctor() -> str:
        return CliRunner().invoke(app, ["doctor"]).output

    ann, ben = people[Role.CONTROLLER], people[Role.ADMIN]
    assert "the default: default," in doctor()
    assert run("lint").output.startswith("default ")
    done("draft", file, by=ann)
    done("submit", 1, by=ann)
    done("approve", 1, by=ben)
    assert "policy 1 is approved, in force once it is activated" in doctor()
    done("activate", 1, by=ben)
    monkeypatch.setenv("PREBILL_POLICY_PATH", str(file))
    assert "policy 1, in force since 2" in doctor()
    assert f"{file} is not read: policy 1 is in force" in doctor().replace("\n", "")
    assert run("lint").output.startswith("next ")


def test_difference_and_simulation_are_shown(people: dict[Role, Person], file: Path) -> None:
    ann = people[Role.CONTROLLER]
    done("draft", file, by=ann)
    assert "+name: next" in done("show", 1, "--diff", by=ann)
    assert isinstance(run("show", 1, "--simulation", by=ann).exception, NotFoundError)
    done("submit", 1, by=ann)
    assert json.loads(done("show", 1, "--simulation", by=ann))
    assert isinstance(run("show", 7, by=ann).exception, NotFoundError)


def test_export_has_every_change_with_its_difference(
    people: dict[Role, Person], file: Path, tmp_path: Path
) -> None:
    ann, ben = people[Role.CONTROLLER], people[Role.ADMIN]
    done("draft", file, by=ann)
    done("submit", 1, by=ann)
    done("send-back", 1, "--reason", "=HYPERLINK(1)", by=ben)
    done("withdraw", 1, by=ann)
    table, lines = tmp_path / "c.csv", tmp_path / "c.ndjson"
    assert "4 changes" in done("export", "--out", table, by=people[Role.VIEWER])
    done("export", "--out", lines, by=ann)
    told = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [
        ("drafted", "Controller Person", ""),
        ("submitted", "Controller Person", ""),
        ("sent_back", "Admin Person", "=HYPERLINK(1)"),
        ("withdrawn", "Controller Person", ""),
    ] == [(one["what"], one["name"], one["reason"]) for one in told]
    assert "+name: next" in told[0]["diff"]
    assert told[0]["actor"] == ann.actor.user_id
    with table.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert "'=HYPERLINK(1)" == rows[2]["reason"]  # no formula for a spreadsheet
    assert [one["at"] for one in told] == [row["at"] for row in rows]
    wrong = run("export", "--out", tmp_path / "c.xlsx", by=ann)
    assert isinstance(wrong.exception, InputError)


#: Command with its arguments → the smallest role that may.
NEEDED = {
    ("list",): Role.VIEWER,
    ("show",): Role.VIEWER,
    ("history",): Role.VIEWER,
    ("export", "--out", "x.csv"): Role.VIEWER,
    ("draft", "FILE"): Role.REVIEWER,
    ("submit", "1"): Role.REVIEWER,
    ("withdraw", "1"): Role.REVIEWER,
    ("approve", "1"): Role.CONTROLLER,
    ("send-back", "1", "--reason", "r"): Role.CONTROLLER,
    ("activate", "1"): Role.CONTROLLER,
}


@pytest.mark.parametrize("words", NEEDED, ids=lambda words: words[0])
def test_every_command_for_every_role(
    people: dict[Role, Person],
    file: Path,
    words: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(file.parent)
    given = [str(file) if one == "FILE" else one for one in words]
    assert isinstance(run(*given).exception, UnauthenticatedError)
    for role in Role:
        result = run(*given, by=people[role])
        if role < NEEDED[words]:
            assert isinstance(result.exception, ForbiddenError), result.output
        else:  # there is no policy 1: whoever may is told so
            assert result.exit_code == 0 or isinstance(result.exception, NotFoundError)


def test_roll_back_needs_a_controller_and_a_version(people: dict[Role, Person]) -> None:
    nothing = run("rollback", "--reason", "r", by=people[Role.CONTROLLER])
    assert isinstance(nothing.exception, ConflictError)
    assert isinstance(
        run("rollback", "--reason", "r", by=people[Role.REVIEWER]).exception, ForbiddenError
    )


def test_wrong_input_is_named(people: dict[Role, Person], file: Path) -> None:
    ann = people[Role.CONTROLLER]
    assert isinstance(run("draft", file.parent / "none.yaml", by=ann).exception, InputError)
    file.write_text(text("x").replace("sla_hours:", "sla_hour:"), encoding="utf-8")
    assert isinstance(run("draft", file, by=ann).exception, PolicyError)
    late = run("activate", 1, "--at", "soon", by=ann)
    assert 2 == late.exit_code
    assert "is no instant" in late.output
