"""The audit log over HTTP."""

from prebill import audit
from prebill.store.users import Role
from tests.api.conftest import Served

DRAFT = "DE:2026-10:SUB-00001"


def test_log_is_searched_page_by_page_and_taken_along(served: Served) -> None:
    with served.store.transaction() as tx:
        for number in range(5):
            audit.record(tx, "ann", "case.claimed", f"case:{number}")
        audit.record(tx, "ben", "draft.issued", DRAFT)

    def found(**query: object) -> list[dict[str, object]]:
        answer = served.get("/v1/audit-entries", Role.VIEWER, params=query)
        assert 200 == answer.status_code, answer.text
        entries: list[dict[str, object]] = answer.json()
        return entries

    assert [DRAFT, "case:4"] == [one["object_id"] for one in found(limit=2)]
    last = found(limit=2)[-1]["seq"]
    assert ["case:3", "case:2"] == [one["object_id"] for one in found(limit=2, before=last)]
    assert ["ben"] == [one["actor"] for one in found(object_id=DRAFT)]
    assert 5 == len(found(action="case"))
    assert [] == found(action="cas")
    assert [] == found(since_on="2999-01-01")
    pack = served.get(f"/v1/evidence/{DRAFT}").json()
    assert (DRAFT, 1) == (pack["draft_id"], len(pack["audit"]))
    assert 404 == served.get("/v1/evidence/none").status_code
