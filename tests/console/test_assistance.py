"""Help on a case's page, its page that tries corrections, the API and the terminal."""

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from typer.testing import CliRunner

from prebill.bootstrap import Installation
from prebill.cli import app
from prebill.console.links import case_href
from prebill.store.users import Role
from tests.api.builders import Person, add_people
from tests.api.server import running
from tests.console.browserless import Visit
from tests.workflows import mistaken, world


@pytest.fixture(scope="module")
def billed(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> Iterator[Installation]:
    """A billed company with mistakes; each test settles a case of its own."""
    home: Path = tmp_path_factory.mktemp("mistaken")
    url = f"sqlite:///{home}/prebill.db"
    (home / "prebill.db").write_bytes(sqlite_template.read_bytes())
    opened = mistaken.install(url, home)
    # Nothing is withheld: which case would be is drawn by its id.
    shown = opened.settings.model_copy(update={"withheld_share": 0.0})
    yield Installation(shown, opened.store, opened.lake)
    opened.close()


@pytest.fixture(scope="module")
def people(billed: Installation) -> dict[Role, Person]:
    return add_people(billed.store)


@pytest.fixture(scope="module")
def url(billed: Installation) -> Iterator[str]:
    with running(billed) as served:
        yield served


@pytest.fixture
def visit(url: str, people: dict[Role, Person]) -> Iterator[Visit]:
    visit = Visit(url)
    visit.client.timeout = 120  # corrections are priced and judged for real
    visit.sign_in(people[Role.REVIEWER])
    yield visit
    visit.client.close()


def path_of(billed: Installation, mistake: str) -> str:
    return case_href(mistaken.case_of(billed, mistake)["case_id"])


def hidden(page: str, name: str) -> str:
    (value,) = re.findall(rf'name="{name}" value="([^"]*)"', page)
    return unescape(value)


def test_proposed_correction_is_sent_as_it_is_and_issues_the_invoice(
    billed: Installation, visit: Visit
) -> None:
    path = path_of(billed, "usage")
    case_page = visit.get(path).text
    assert f'data-load="{path}/smallest-change"' in case_page
    assert case_page.index("Reasons, by money") < case_page.index("The smallest passing change")
    assert "Recommended: correct it, 90 % sure (by rule" in case_page
    page = visit.get(f"{path}/smallest-change").text
    assert "Would pass: usage of API calls 4,254 instead of 6,108 (−14.34 GBP with tax)" in page
    correction = hidden(page, "correction")
    assert json.loads(correction) == {
        "kind": "usage_quantity",
        "charge_id": "api",
        "quantity": "4254",
    }
    fields = {name: hidden(page, name) for name in ("lock_version", "reason", "correction")}
    done = visit.send(f"{path}/correct", path, kind="proposed", **fields)
    assert "Corrected." in done.text
    (draft,) = world.rows(
        billed, "SELECT state FROM drafts WHERE subscription_id = 'S0000007' AND state = 'issued'"
    )
    assert draft["state"] == "issued"
    (verdict,) = world.rows(
        billed, "SELECT reason_code FROM verdicts WHERE draft_id LIKE '%S0000007'"
    )
    assert verdict["reason_code"] == "wrong_quantity"


def test_where_nothing_can_pass_the_page_says_why_and_tries_nothing(
    billed: Installation, visit: Visit
) -> None:
    page = visit.get(path_of(billed, "twice")).text
    assert "None: The contract is billed twice" in page
    assert "data-load" not in page
    assert "Recommended: reject it" in page


def test_similar_cases_are_shown_with_what_was_done(billed: Installation, visit: Visit) -> None:
    path = path_of(billed, "quantity")
    visit.send(f"{path}/reject", path, reason="wrong_quantity", note="asked")
    page = visit.get(path_of(billed, "amendment")).text
    assert "Rejected by Reviewer Person" in page
    assert "Wrong quantity or usage" in page
    assert f'<a href="{path}">Customer 3</a>' in page
    assert "No resolved case shares a reason" in visit.get(path_of(billed, "tax")).text


def test_corrections_are_tried_only_for_those_who_may_decide(
    billed: Installation, url: str, people: dict[Role, Person]
) -> None:
    visit = Visit(url)
    visit.sign_in(people[Role.VIEWER])
    path = path_of(billed, "price")
    assert "data-load" not in visit.get(path).text
    assert visit.get(f"{path}/smallest-change").status_code == 403
    visit.client.close()


def test_a_broken_proposal_is_answered_in_words(billed: Installation, visit: Visit) -> None:
    path = path_of(billed, "price")
    for text in ("", "[1]", "{"):
        answer = visit.send(
            f"{path}/correct", path, reason="wrong_price", kind="proposed", correction=text
        )
        assert answer.status_code == 422
        assert "can&#39;t be read: reload the case" in answer.text


def test_programs_get_the_same(
    billed: Installation, visit: Visit, people: dict[Role, Person]
) -> None:
    path = f"/v1{path_of(billed, 'tax')}"
    bearer = people[Role.REVIEWER].bearer
    answer = visit.client.get(f"{path}/smallest-change", headers=bearer).json()
    assert [{"kind": "tax_status", "country": "DE"}] == answer["corrections"]
    assert ["customer: country DE instead of AT"] == answer["texts"]
    assert (answer["new_currency"], answer["why_not"]) == ("EUR", "")
    assert answer["new_total_minor"] < answer["total_minor"]
    found = visit.client.get(f"{path}/assistance", headers=bearer).json()
    assert found["recommendation"] == {"action": "correct", "confidence": 0.9, "basis": "rules"}
    assert (found["is_withheld"], found["similar"], found["routing"]) == (False, [], None)


def test_the_terminal_tells_change_and_command(
    billed: Installation, people: dict[Role, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = billed.settings
    monkeypatch.setenv("PREBILL_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("PREBILL_HOME", str(settings.home))
    monkeypatch.setenv("PREBILL_POLICY_PATH", str(settings.policy_path))
    monkeypatch.setenv("PREBILL_WITHHELD_SHARE", "1.0")
    monkeypatch.setenv("PREBILL_TOKEN", people[Role.REVIEWER].token)
    case_id = mistaken.case_of(billed, "discount")["case_id"]
    shown = CliRunner().invoke(app, ["cases", "show", case_id]).output
    assert "Nothing is recommended on this case" in shown
    assert "Would pass: phase 1: discount percent 8 instead of 50 (+157.52 EUR with tax)" in shown
    assert f"prebill correct {case_id} --reason wrong_discount --kind phase" in shown
    assert "--set discount_percent=8" in shown
    monkeypatch.setenv("PREBILL_TOKEN", people[Role.VIEWER].token)
    assert "Would pass" not in CliRunner().invoke(app, ["cases", "show", case_id]).output
