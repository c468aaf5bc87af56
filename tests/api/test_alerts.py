"""Alerts over HTTP and in the metrics."""

import pytest

from prebill.bootstrap import Installation
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.users import Role
from prebill.workflows.alerting import look
from tests.api.builders import NOW
from tests.api.conftest import Served

#: The two waiting cases of the fixture are due two days after.
LATE = NOW.replace(day=5)


@pytest.fixture
def alerted(served: Served, settings: Settings, lake: Lake) -> Served:
    look(Installation(settings, served.store, lake), LATE)
    return served


def test_open_alerts_are_listed_the_worst_first(alerted: Served) -> None:
    body = alerted.get("/v1/alerts").json()
    assert ["case_past_due:billing"] == [one["cause"] for one in body["open"]]
    assert ("critical", 2, []) == (
        body["open"][0]["severity"],
        body["open"][0]["count"],
        body["past"],
    )


def test_somebody_acknowledges_once_in_their_own_name(alerted: Served) -> None:
    (alert,) = alerted.get("/v1/alerts").json()["open"]
    path = f"/v1/alerts/{alert['alert_id']}:acknowledge"
    done = alerted.post(path)
    assert (200, "user-reviewer") == (done.status_code, done.json()["acknowledged_by"])
    again = alerted.post(path, Role.CONTROLLER)
    assert (409, "conflict") == (again.status_code, again.json()["code"])
    assert 404 == alerted.post("/v1/alerts/999:acknowledge").status_code
    assert 422 == alerted.post("/v1/alerts/x:acknowledge").status_code


def test_metrics_count_open_alerts_by_severity(alerted: Served) -> None:
    text = alerted.get("/metrics").text
    assert 'prebill_alerts{severity="critical"} 1.0' in text
    assert 'prebill_alerts{severity="warning"} 0.0' in text


def test_what_is_over_is_listed_when_asked_for(
    alerted: Served, settings: Settings, lake: Lake
) -> None:
    with alerted.store.transaction() as tx:
        tx.execute("UPDATE cases SET status = 'lapsed'")
        tx.execute("UPDATE drafts SET state = 'rejected'")
    look(Installation(settings, alerted.store, lake), LATE.replace(day=6))
    body = alerted.get("/v1/alerts", params={"past": 5}).json()
    assert ([], ["case_past_due:billing"]) == (body["open"], [o["cause"] for o in body["past"]])
