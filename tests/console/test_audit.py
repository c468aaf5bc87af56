"""The audit log at the console: searched, verified, taken along."""

import csv
import io
from collections.abc import Callable

from prebill import audit
from prebill.store.users import Role
from tests.api.conftest import Served
from tests.console.browserless import Visit

Visitors = Callable[[], Visit]
DRAFT = "DE:2026-10:SUB-00001"


def signed_in(visitors: Visitors, served: Served, role: Role) -> Visit:
    visit = visitors()
    visit.sign_in(served.people[role])
    return visit


def recorded(served: Served) -> None:
    with served.store.transaction() as tx:
        for number in range(120):
            audit.record(tx, "user-reviewer", "case.claimed", f"case:{number}")
        audit.record(tx, "user-controller", "draft.issued", DRAFT, {"version": "<v1>"})


def test_entries_are_found_by_object_action_and_person(served: Served, visitors: Visitors) -> None:
    recorded(served)
    visit = signed_in(visitors, served, Role.VIEWER)
    page = visit.get("/audit").text
    assert "not verified yet" in page
    assert "Older" in page
    assert "&lt;v1&gt;" in page
    found = visit.get(f"/audit?object_id={DRAFT}").text
    assert "draft.issued" in found
    assert "case.claimed" not in found
    assert f'href="/invoices/{DRAFT}"' in found
    assert "Controller Person" in found
    assert "case.claimed" not in visit.get("/audit?action=draft").text
    assert "draft.issued" not in visit.get("/audit?actor=user-reviewer").text
    assert "No entry matches" in visit.get("/audit?until_on=2020-01-01").text
    older = page.split('href="/audit?before=')[1].split('"')[0]
    assert "case:0<" in visit.get(f"/audit?before={older}").text
    rows = list(csv.DictReader(io.StringIO(visit.get("/audit/entries.csv?action=case").text)))
    assert 120 == len(rows)
    assert 64 == len(rows[0]["hash"])


def test_evidence_pack_is_a_file(served: Served, visitors: Visitors) -> None:
    recorded(served)
    visit = signed_in(visitors, served, Role.VIEWER)
    pack = visit.get(f"/audit/evidence?name={DRAFT}")
    assert "attachment" in pack.headers["content-disposition"]
    assert DRAFT == pack.json()["draft_id"]
    assert 404 == visit.get("/audit/evidence?name=nobody").status_code


def test_verification_says_what_it_found(served: Served, visitors: Visitors) -> None:
    recorded(served)
    visit = signed_in(visitors, served, Role.CONTROLLER)
    assert "nothing was altered" in visit.send("/audit/verify", "/audit").text
    with served.store.transaction() as tx:
        tx.execute("UPDATE audit_entries SET actor = 'nobody' WHERE object_id = 'case:7'")
    told = visit.send("/audit/verify", "/audit").text
    assert "is not what was written" in told
    assert (
        403
        == signed_in(visitors, served, Role.REVIEWER).send("/audit/verify", "/audit").status_code
    )
