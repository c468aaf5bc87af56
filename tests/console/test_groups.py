"""Groups at the console, without scripts: found, sampled, decided together."""

import re
import time
from collections.abc import Callable

import polars as pl
import pytest

from prebill.store import grouping as store
from prebill.store.users import Role
from tests.api.builders import add_waiting
from tests.api.conftest import Served
from tests.console.browserless import Visit

CAUSE = "2026-10:price_differs_from_contract:eur-3"


@pytest.fixture
def group(served: Served) -> list[str]:
    with served.store.transaction() as tx:
        every = [*served.case_ids, *(add_waiting(tx, n) for n in range(3, 7))]
        store.save_causes(tx, pl.DataFrame({"case_id": every, "cause": CAUSE}))
    return every


def signed_in(visitors: Callable[[], Visit], served: Served, role: Role = Role.REVIEWER) -> Visit:
    visit = visitors()
    visit.sign_in(served.people[role])
    return visit


def test_group_is_found_sampled_and_decided(
    served: Served, visitors: Callable[[], Visit], group: list[str]
) -> None:
    visit = signed_in(visitors, served)
    assert "Price differs from contract, eur-3, Oct 2026" in visit.get("/groups").text
    path = f"/groups/{CAUSE}"
    page = visit.get(path).text
    assert "6 cases of this cause wait." in page
    assert "0 of 3 are decided" in page
    assert "Release the rest" not in page
    sample = re.findall(r'<li><a href="(/cases/[^"]*)">', page)[:3]
    for case in sample:
        assert "One of" in visit.get(case).text
        visit.send(f"{case}/release", case, reason="unusual_but_right")
    page = visit.get(path).text
    assert "All 3 were found to be right." in page
    assert "Reject the rest" not in page
    assert 409 == visit.send(f"{path}/reject", path, reason="wrong_price").status_code
    done = visit.send(f"{path}/release", path, reason="unusual_but_right", note="Checked")
    assert "Written down." in done.text
    for _ in range(200):
        page = visit.get(path).text
        if "to do" not in page:
            break
        time.sleep(0.05)
    assert "Released together by Reviewer Person" in page
    assert "3 done." in page
    assert "0 cases of this cause wait." in page


def test_case_that_stands_alone_says_nothing_of_a_group(
    served: Served, visitors: Callable[[], Visit], group: list[str]
) -> None:
    visit = signed_in(visitors, served)
    path = f"/cases/{group[0]}"
    assert "One of 6 cases with one cause" in visit.get(path).text
    assert "with one cause" not in visit.send(f"{path}/detach", path).text
    assert "5 cases of this cause wait." in visit.get(f"/groups/{CAUSE}").text


def test_viewer_looks_and_decides_nothing(
    served: Served, visitors: Callable[[], Visit], group: list[str]
) -> None:
    visit = signed_in(visitors, served, Role.VIEWER)
    path = f"/groups/{CAUSE}"
    assert 200 == visit.get(path).status_code
    assert 403 == visit.send(f"{path}/release", path, reason="looked_right").status_code
    case = f"/cases/{group[0]}"
    assert 403 == visit.send(f"{case}/detach", case).status_code
