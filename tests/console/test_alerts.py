"""The page of alerts, without a browser."""

import pytest

from prebill.bootstrap import Installation
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.users import Role
from prebill.workflows.alerting import look
from tests.api.builders import NOW
from tests.api.conftest import Served
from tests.console.browserless import Visit


@pytest.fixture
def alerted(served: Served, settings: Settings, lake: Lake) -> Served:
    look(Installation(settings, served.store, lake), NOW.replace(day=5))
    return served


def test_nothing_open_is_said_and_not_counted(served: Served, visit: Visit) -> None:
    visit.sign_in(served.people[Role.VIEWER])
    page = visit.get("/alerts").text
    assert "Nothing is beyond its limit." in page
    assert '<a href="/alerts">Alerts</a>' in page


def test_every_page_counts_the_open_ones(alerted: Served, visit: Visit) -> None:
    visit.sign_in(alerted.people[Role.VIEWER])
    for path in ("/queue", "/runs", "/alerts"):
        assert '<span class="tag failed">1<span' in visit.get(path).text


def test_a_reviewer_acknowledges_and_is_named(alerted: Served, visit: Visit) -> None:
    visit.sign_in(alerted.people[Role.REVIEWER])
    page = visit.get("/alerts").text
    assert "Open cases past due: 2," in page
    assert 'href="/queue?queue=billing"' in page
    done = visit.send("/alerts/1/acknowledge", "/alerts")
    assert "Reviewer Person looks after it" in done.text
    assert "/acknowledge" not in done.text
    again = visit.send("/alerts/1/acknowledge", "/alerts")
    assert (409, True) == (again.status_code, "somebody acknowledged it before" in again.text)


def test_a_viewer_has_no_button_and_may_not_send_one(alerted: Served, visit: Visit) -> None:
    visit.sign_in(alerted.people[Role.VIEWER])
    assert "/acknowledge" not in visit.get("/alerts").text
    assert 403 == visit.send("/alerts/1/acknowledge", "/alerts").status_code


def test_a_forged_form_changes_nothing(alerted: Served, visit: Visit) -> None:
    visit.sign_in(alerted.people[Role.REVIEWER])
    assert 403 == visit.client.post("/alerts/1/acknowledge", data={"csrf_token": "x"}).status_code
    assert "nobody looks after it" in visit.get("/alerts").text


def test_a_stranger_is_led_to_sign_in(alerted: Served, visit: Visit) -> None:
    assert "/sign-in" in str(visit.get("/alerts").url)
