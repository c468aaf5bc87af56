"""Policies in the console without scripts: forms, refusals, every page and form for every role."""

from collections.abc import Callable

import pytest

from prebill.store.configurations import POLICY, find
from prebill.store.users import Role
from prebill.workflows.configuration_life import RULES, Step
from tests.api.conftest import Served
from tests.console.browserless import Visit
from tests.workflows.lives import text

AUTHOR, OTHER = Role.CONTROLLER, Role.ADMIN


def enter(visit: Visit, name: str = "next") -> str:
    """Enter a draft; return the path of its page."""
    answer = visit.send("/policies/new", "/policies/new", content=text(name), note="why not")
    assert "Saved. Submit it when it is ready." in answer.text
    return answer.url.path


def status(served: Served, number: int = 1) -> str:
    with served.store.read() as tx:
        return find(tx, POLICY, number).status.value


@pytest.fixture
def two(served: Served, visitors: Callable[[], Visit]) -> tuple[Visit, Visit]:
    """Author and approver, signed in."""
    author, other = visitors(), visitors()
    author.sign_in(served.people[AUTHOR])
    other.sign_in(served.people[OTHER])
    return author, other


def test_from_draft_to_live_and_back(served: Served, two: tuple[Visit, Visit]) -> None:
    author, other = two
    assert "In force: default" in author.get("/policies").text
    path = enter(author)
    assert "+name: next" in author.get(path).text
    changed = author.send(f"{path}/edit", f"{path}/edit", content=text("better"), note="")
    assert "Policy 1: better" in changed.text
    assert "another person is asked" in author.send(f"{path}/submit", path).text
    mine, theirs = author.get(path).text, other.get(path).text
    assert f"{path}/approve" not in mine
    assert f"{path}/approve" in theirs
    assert "What it would have done" in theirs
    assert "Approved." in other.send(f"{path}/approve", path).text
    planned = author.send(f"{path}/activate", path, live_from="2099-01-01T00:00")
    assert "in force from 1 Jan 2099, 00:00 UTC" in planned.text
    assert "In force since" in author.send(f"{path}/activate", path, live_from="").text
    assert "In force: better" in other.get("/policies").text
    refused = other.send(f"{path}/roll-back", path, reason="")
    assert (422, True) == (refused.status_code, "Say why" in refused.text)
    back = other.send(f"{path}/roll-back", path, reason="holds everything")
    assert "/policies/0" == back.url.path
    assert "this one is in force again" in back.text
    told = other.get("/policies/changes.csv")
    assert "holds everything" in told.text
    assert 'filename="policy_changes.csv"' in told.headers["content-disposition"]
    assert 422 == other.get("/policies/changes.xlsx").status_code


def test_wrong_text_comes_back_with_what_is_wrong(served: Served, two: tuple[Visit, Visit]) -> None:
    author, _ = two
    wrong = text("x").replace("sla_hours:", "sla_hour:")
    answer = author.send("/policies/new", "/policies/new", content=wrong, note="mine")
    assert 422 == answer.status_code
    assert 'role="alert"' in answer.text
    assert answer.text.count("sla_hour") > 1  # named, and what was written is still there
    assert 'value="mine"' in answer.text
    said = author.send("/policies/check", "/policies/new", content=wrong).text
    assert "sla_hour" in said
    right = author.send("/policies/check", "/policies/new", content=text("x")).text
    assert right.startswith("The text is right: x ")
    path = enter(author)
    again = author.send(f"{path}/edit", f"{path}/edit", content="- no", note="")
    assert 422 == again.status_code
    assert "draft" == status(served)


def test_what_somebody_decided_meanwhile_is_said(served: Served, two: tuple[Visit, Visit]) -> None:
    author, other = two
    path = enter(author)
    author.send(f"{path}/submit", path)
    seen = other.hidden(path)
    other.send(f"{path}/send-back", path, reason="too dear")
    late = other.client.post(f"{path}/approve", data=seen, headers=other.origin)
    assert 409 == late.status_code
    assert "Admin Person did “sent back”" in late.text
    assert "draft" == status(served)


@pytest.mark.parametrize("role", list(Role))
def test_every_page_and_form_for_every_role(
    served: Served, visit: Visit, two: tuple[Visit, Visit], role: Role
) -> None:
    path = enter(two[0])
    two[0].send(f"{path}/submit", path)
    visit.sign_in(served.people[role])
    for shown in ("/policies", path, "/policies/changes.csv", "/policies/changes.ndjson"):
        assert 200 == visit.get(shown).status_code
    may_draft = role >= Role.REVIEWER
    for form in ("/policies/new", f"{path}/edit"):
        assert (200 if may_draft else 403) == visit.get(form).status_code
    token = visit.hidden(path if role is not AUTHOR else "/policies")
    token = {"csrf_token": token["csrf_token"]}
    entered = visit.client.post(
        "/policies/new", data=token | {"content": text("mine")}, headers=visit.origin
    )
    assert (200 if may_draft else 403) == entered.status_code
    for step in (one for one in Step if one is not Step.EDIT):
        data = token | {"lock_version": "99", "reason": "r"}
        answer = visit.client.post(f"{path}/{step}", data=data, headers=visit.origin)
        # Whoever has the role is told that the version is another one.
        assert (409 if role >= RULES[step].role else 403) == answer.status_code
    assert "in_review" == status(served)


def test_strangers_and_foreign_forms_get_nothing(served: Served, visit: Visit) -> None:
    assert "/sign-in" == visit.get("/policies").url.path
    visit.sign_in(served.people[AUTHOR])
    data = {"content": text("x"), "csrf_token": "forged"}
    for path in ("/policies/new", "/policies/check"):
        assert 403 == visit.client.post(path, data=data, headers=visit.origin).status_code
    assert "No version yet" in visit.get("/policies").text
