"""Stand-ins, signatures and releases made alone, at the console without scripts."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from prebill.bootstrap import policy_text
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.store.users import Role
from tests.api.conftest import Served, serving
from tests.console.browserless import Visit

TWO = """
approvals:
  limits: {}
  matrix:
    - {action: hold, over: {default: 100}, people: 2, of: [reviewer, controller]}
"""
Visitors = Callable[[Role], Visit]


@pytest.fixture
def ruled(sqlite_store: Store, settings: Settings, lake: Lake, tmp_path: Path) -> Iterator[Served]:
    path = tmp_path / "policy.yaml"
    path.write_text(policy_text(None) + TWO)
    with serving(sqlite_store, settings.model_copy(update={"policy_path": path}), lake) as found:
        yield found


@pytest.fixture
def visits(ruled: Served) -> Iterator[Visitors]:
    with ExitStack() as stack:

        def signed_in(role: Role) -> Visit:
            visit = Visit(ruled.url)
            stack.callback(visit.client.close)
            visit.sign_in(ruled.people[role])
            return visit

        yield signed_in


def test_two_people_sign_and_the_page_says_who_is_missing(ruled: Served, visits: Visitors) -> None:
    mine, path = visits(Role.REVIEWER), f"/cases/{ruled.case_ids[0]}"
    assert "Releasing this takes 2 of controller, reviewer." in mine.get(path).text
    signed = mine.send(f"{path}/release", path, reason="looked_right")
    assert "Signed. It goes out once the others have signed too." in signed.text
    assert "Signed by Reviewer Person, 1 more." in signed.text
    admin = visits(Role.ADMIN).get(path).text
    assert 'data-focus="r"' not in admin
    done = visits(Role.CONTROLLER).send(f"{path}/release", path, reason="looked_right")
    assert "Released by Controller Person" in done.text


def test_release_alone_waits_for_a_review_by_another(ruled: Served, visits: Visitors) -> None:
    other, path = visits(Role.CONTROLLER), f"/cases/{ruled.case_ids[0]}"
    assert "Release alone" not in visits(Role.REVIEWER).get(path).text
    other.send(f"{path}/release", path, reason="looked_right", alone_because="Quarter end")
    shown = other.get("/authority").text
    assert "Quarter end" in shown
    assert "/review" not in shown
    admin = visits(Role.ADMIN)
    review = f"/authority/glass/{ruled.case_ids[0]}/review"
    assert review in admin.get("/authority").text
    kept = admin.send(review, "/authority", review="Agreed by phone")
    assert "Kept with your name." in kept.text
    assert "Quarter end" not in kept.text


def test_stand_in_is_named_and_ended(ruled: Served, visits: Visitors) -> None:
    mine = visits(Role.CONTROLLER)
    today = datetime.now(UTC).date()
    days = {"from_on": str(today), "last_on": str(today + timedelta(days=6))}
    path = "/authority/delegations"
    form = {"stand_in": "reviewer@example.com", "reason": "On leave", **days}
    made = mine.send(path, "/authority", **form)
    assert "Reviewer Person stands in for Controller Person" in made.text
    again = mine.send(path, "/authority", **(form | {"stand_in": "controller@example.com"}))
    assert (422, True) == (again.status_code, "Nobody stands in for themselves" in again.text)
    assert 422 == mine.send(path, "/authority", **(form | {"from_on": "soon"})).status_code
    other = visits(Role.REVIEWER)
    assert "End it" not in other.get("/authority").text
    assert 403 == visits(Role.VIEWER).send(path, "/authority", **form).status_code
    (end,) = [part.split('"')[0] for part in mine.get("/authority").text.split('action="')[1:]
              if part.split('"')[0].endswith("/end")]  # fmt: skip
    assert "The delegation has ended." in mine.send(end, "/authority").text
