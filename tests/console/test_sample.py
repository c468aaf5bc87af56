"""Cases of the random sample at the console and the terminal: apart from holds, answered blind."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

from prebill.bootstrap import Installation
from prebill.cli import app
from prebill.store.users import Role
from tests.api.builders import Person, add_people
from tests.api.server import running
from tests.console.browserless import Visit
from tests.workflows import world


@pytest.fixture
def billed(sqlite_url: str, home: Path) -> Installation:
    """Six accounts: one held, five issued and sampled."""
    opened = world.install(sqlite_url, home, accounts=6, events=300)
    world.sample_everything(opened)
    world.amend(opened, 3, quantity=Decimal(99))
    world.run(opened)
    return opened


@pytest.fixture
def people(billed: Installation) -> dict[Role, Person]:
    return add_people(billed.store)


@pytest.fixture
def visit(billed: Installation, people: dict[Role, Person]) -> Iterator[Visit]:
    with running(billed) as url:
        visit = Visit(url)
        visit.sign_in(people[Role.REVIEWER])
        yield visit
        visit.client.close()


def sampled(opened: Installation) -> str:
    rows = world.rows(opened, "SELECT case_id FROM cases WHERE kind = 'sample' ORDER BY case_id")
    return str(rows[0]["case_id"])


def test_queue_shows_the_sample_last_and_counts_it_apart(visit: Visit) -> None:
    page = visit.get("/queue").text
    assert "1 case to decide, 1 of them held." in page
    assert "5 released invoices to look at, nothing waits for them." in page
    assert 5 == page.count('<span class="tag sample">')
    assert page.index('<span class="tag hold">') < page.index('<span class="tag sample">')
    alone = visit.get("/queue?queue=sample").text
    assert (5, 0) == (alone.count('class="tag sample"'), alone.count('class="tag hold"'))


def test_case_is_answered_without_a_recommendation(visit: Visit, billed: Installation) -> None:
    path = f"/cases/{quote(sampled(billed))}"
    page = visit.get(path).text
    assert "It is right" in page
    assert "issued already" in page
    assert "not shown before your answer" in page
    assert "likely wrong" not in page
    assert "Payment, proposed" not in page
    done = visit.send(f"{path}/reject", path, reason="wrong_price")
    assert "Noted: it is wrong. It stays issued" in done.text
    assert "Payment, proposed" in done.text
    assert "<dt>Terms</dt><dd>agree on 19 days instead of 30 next time: 78.8 %" in done.text
    assert "reminder 3 days after the due date: " in done.text
    (label,) = world.rows(billed, "SELECT * FROM labels")
    assert ("sample", "wrong_price", 1.0) == (
        label["source"],
        label["reason_code"],
        label["propensity"],
    )


def test_terminal_lists_answers_and_measures_the_sample(
    billed: Installation,
    people: dict[Role, Person],
    sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PREBILL_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("PREBILL_HOME", str(billed.settings.home))
    monkeypatch.setenv("PREBILL_TOKEN", people[Role.REVIEWER].token)
    listed = CliRunner().invoke(app, ["cases"]).output
    assert "5 released invoices to look at: --queue sample" in listed
    assert "drawn at random" in listed
    assert "EUR" in CliRunner().invoke(app, ["cases", "show", sampled(billed)]).output
    done = CliRunner().invoke(app, ["release", sampled(billed), "--reason", "looked_right"])
    assert "released, decided by Reviewer Person" in done.output
    figures = CliRunner().invoke(app, ["metrics"]).output
    assert "released and wrong      at most 100.00%; 1 looked at, 0 wrong" in figures
    assert "false holds, all" in figures
