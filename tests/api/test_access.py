"""Every route, for a stranger, a wrong token and every role. A new route must be listed here."""

import pytest
from fastapi.routing import APIRoute

from prebill.api.handle import NEEDED as HANDLING
from prebill.api.routes import ROUTERS
from prebill.store.users import Role
from tests.api.conftest import Served

#: (method, path template) → the smallest role that may; None: anybody.
NEEDED = {
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/metrics"): Role.VIEWER,
    ("POST", "/v1/usage-events"): Role.CONTROLLER,
    ("POST", "/v1/invoices:score"): Role.CONTROLLER,
    ("POST", "/v1/billing-runs"): Role.CONTROLLER,
    ("GET", "/v1/billing-runs/{run_id:path}"): Role.VIEWER,
    ("GET", "/v1/cases"): Role.VIEWER,
    ("GET", "/v1/cases/{case_id:path}"): Role.VIEWER,
    ("GET", "/v1/cases/{case_id:path}/assistance"): Role.VIEWER,
    ("GET", "/v1/cases/{case_id:path}/smallest-change"): Role.REVIEWER,
    ("POST", "/v1/cases:next"): Role.REVIEWER,
    ("GET", "/v1/snoozes"): Role.VIEWER,
    ("POST", "/v1/snoozes"): Role.CONTROLLER,
    ("POST", "/v1/snoozes/{snooze_id}:end"): Role.CONTROLLER,
    ("POST", "/v1/cases/{case_id:path}:claim"): Role.REVIEWER,
    ("POST", "/v1/cases/{case_id:path}:take-over"): Role.REVIEWER,
    ("POST", "/v1/cases/{case_id:path}:let-go"): Role.REVIEWER,
    ("POST", "/v1/cases/{case_id:path}:{kind}"): Role.REVIEWER,
    ("GET", "/v1/policies"): Role.VIEWER,
    ("GET", "/v1/policies:history"): Role.VIEWER,
    ("GET", "/v1/policies/{number}"): Role.VIEWER,
    ("POST", "/v1/policies"): Role.REVIEWER,
    ("PUT", "/v1/policies/{number}"): Role.REVIEWER,
    ("POST", "/v1/policies/{number}:{step}"): Role.REVIEWER,  # each step: test_policies.py
    ("GET", "/v1/cases/{case_id:path}/files/{seq}"): Role.VIEWER,
    ("POST", "/v1/cases/{case_id:path}:detach"): Role.REVIEWER,
    ("GET", "/v1/audit-entries"): Role.VIEWER,
    ("GET", "/v1/evidence/{name:path}"): Role.VIEWER,
    ("GET", "/v1/delegations"): Role.VIEWER,
    ("POST", "/v1/delegations"): Role.REVIEWER,
    ("POST", "/v1/delegations/{delegation_id}:end"): Role.REVIEWER,
    ("GET", "/v1/broken-glass"): Role.VIEWER,
    ("POST", "/v1/broken-glass/{case_id:path}:review"): Role.CONTROLLER,
    ("GET", "/v1/case-groups"): Role.VIEWER,
    ("GET", "/v1/case-groups/{cause:path}"): Role.VIEWER,
    ("POST", "/v1/case-groups/{cause:path}:{verdict}"): Role.REVIEWER,
    ("GET", "/v1/group-decisions/{decision_id}"): Role.VIEWER,
    **{("POST", f"/v1/cases/{{case_id:path}}:{act}"): role for act, role in HANDLING.items()},
    ("GET", "/v1/alerts"): Role.VIEWER,
    ("POST", "/v1/alerts/{alert_id}:acknowledge"): Role.REVIEWER,
}
#: Opened by the signature of a secret that is bound to a user; a token opens none of them.
SIGNED = {("POST", "/v1/webhooks/{system}")}
CLOSED = {route: role for route, role in NEEDED.items() if role is not None}


def concrete(template: str) -> str:
    for name, value in {
        "{run_id:path}": "run-none",
        "{case_id:path}": "case:none",
        "{kind}": "release",
        "{seq}": "1",
        "{cause:path}": "none",
        "{verdict}": "release",
        "{decision_id}": "none",
        "{delegation_id}": "none",
        "{alert_id}": "7",
        "{number}": "7",
        "{step}": "submit",
    }.items():
        template = template.replace(name, value)
    return template


def test_every_route_is_listed() -> None:
    routes = [route for router in ROUTERS for route in router.routes]
    found = {(m, r.path) for r in routes if isinstance(r, APIRoute) for m in r.methods}
    assert found == set(NEEDED) | SIGNED


@pytest.mark.parametrize("role", [None, *Role])
@pytest.mark.parametrize(("method", "template"), SIGNED, ids=" ".join)
def test_no_token_stands_for_a_signature(
    served_once: Served, method: str, template: str, role: Role | None
) -> None:
    answer = served_once.send(method, template.format(system="stripe"), role, json={})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize(("method", "template"), CLOSED, ids=" ".join)
def test_strangers_get_nothing(served_once: Served, method: str, template: str) -> None:
    for headers in ({}, {"Authorization": "Bearer prebill_wrong"}, {"Authorization": "Basic YTpi"}):
        answer = served_once.send(method, concrete(template), None, json={}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("method", "template"), CLOSED, ids=" ".join)
@pytest.mark.parametrize("role", list(Role))
def test_role_decides(served_once: Served, method: str, template: str, role: Role) -> None:
    answer = served_once.send(method, concrete(template), role, json={})
    if role < NEEDED[method, template]:
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    else:
        assert answer.status_code not in {401, 403}
