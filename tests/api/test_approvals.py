"""Limits, n of m, stand-ins, and a release without the others that somebody reviews."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from prebill.bootstrap import Installation, policy_text
from prebill.core.errors import ConflictError
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store import approvals
from prebill.store.engine import Store
from prebill.store.users import Role
from prebill.workflows import approving
from tests.api.builders import add_person
from tests.api.conftest import Served, serving

RIGHT = {"reason": "unusual_but_right"}
#: The builder's drafts hold 485.54 EUR.
LIMITS = """
approvals:
  limits:
    reviewer: {default: 400}
    admin: {default: 450}
"""
TWO = """
approvals:
  limits: {}
  matrix:
    - {action: hold, over: {default: 100}, people: 2, of: [reviewer, controller]}
"""


@pytest.fixture
def policy(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The default policy with a section of approvals."""
    path = tmp_path / "policy.yaml"
    path.write_text(policy_text(None) + request.param)
    return path


@pytest.fixture
def opened(store: Store, settings: Settings, lake: Lake, policy: Path) -> Installation:
    return Installation(settings.model_copy(update={"policy_path": policy}), store, lake)


@pytest.fixture
def ruled(opened: Installation) -> Iterator[Served]:
    with serving(opened.store, opened.settings, opened.lake) as found:
        yield found


def release(served: Served, role: Role, number: int = 0, **more: str) -> tuple[int, Any]:
    path = f"/v1/cases/{served.case_ids[number]}"
    tag = {"If-Match": served.get(path).headers["ETag"]}
    answer = served.post(f"{path}:release", role, json=RIGHT | more, headers=tag)
    return answer.status_code, answer.json()


def actions(served: Served) -> list[tuple[str, str]]:
    with served.store.read() as tx:
        rows = tx.rows("SELECT actor, action FROM audit_entries ORDER BY seq")
    return [(row["actor"], row["action"]) for row in rows]


def issued(served: Served) -> int:
    with served.store.read() as tx:
        return int(tx.scalar("SELECT count(*) FROM documents"))


@pytest.mark.parametrize("policy", [LIMITS], indirect=True)
def test_total_above_ones_limit_is_somebody_elses(ruled: Served) -> None:
    status, problem = release(ruled, Role.REVIEWER)
    assert (403, True) == (status, "takes 1 of controller; you are reviewer" in problem["detail"])
    assert 403 == release(ruled, Role.ADMIN)[0]
    assert 0 == issued(ruled)
    status, done = release(ruled, Role.CONTROLLER)
    assert (200, "issued") == (status, done["state"])
    # Nobody's limit stops a rejection: nothing goes out.
    path = f"/v1/cases/{ruled.case_ids[1]}:reject"
    body, tag = {"reason": "wrong_price"}, {"If-Match": '"1"'}
    assert 200 == ruled.post(path, Role.REVIEWER, json=body, headers=tag).status_code


@pytest.mark.parametrize("policy", [TWO], indirect=True)
def test_two_sign_and_the_second_issues(ruled: Served) -> None:
    status, done = release(ruled, Role.REVIEWER)
    assert (200, "signed", 1) == (status, done["state"], done["left"])
    assert 0 == issued(ruled)
    # The same person signs once, however often.
    assert 1 == release(ruled, Role.REVIEWER)[1]["left"]
    assert 403 == release(ruled, Role.ADMIN)[0]
    status, done = release(ruled, Role.CONTROLLER)
    assert (200, "issued", 0) == (status, done["state"], done["left"])
    assert 1 == issued(ruled)
    signed = [actor for actor, action in actions(ruled) if action == "case.signed"]
    assert "user-reviewer" == signed[0]
    assert "user-controller" == signed[-1]
    assert ("user-controller", "case.released") in actions(ruled)


@pytest.mark.parametrize("policy", [TWO], indirect=True)
def test_signature_lapses_with_its_version(ruled: Served) -> None:
    release(ruled, Role.REVIEWER)
    draft_id = "DE:2026-10:SUB-00001"
    with ruled.store.transaction() as tx:
        tx.update("signatures", {"draft_version": "v0"}, where={"draft_id": draft_id})
    assert 1 == release(ruled, Role.CONTROLLER)[1]["left"]


@pytest.mark.parametrize("policy", [TWO], indirect=True)
def test_who_corrected_signs_nothing_and_the_database_says_so(ruled: Served) -> None:
    with ruled.store.transaction() as tx:
        case = tx.get("cases", case_id=ruled.case_ids[0])
        row = {
            "verdict_id": "verdict:before",
            "case_id": ruled.case_ids[1],
            "draft_id": case["draft_id"],
            "draft_version": "v0",
            "verdict": "correct",
            "reason_code": "wrong_price",
            "note": None,
            "correction_json": "{}",
            "entered_at": "2026-11-01T00:00:00.000000Z",
            "entered_by": "user-reviewer",
        }
        tx.insert("verdicts", row)
    assert 403 == release(ruled, Role.REVIEWER)[0]
    with pytest.raises(ConflictError, match="may not sign"), ruled.store.transaction() as tx:
        approvals.sign(tx, case, "user-reviewer", "reviewer", None)


@pytest.mark.parametrize("policy", [LIMITS], indirect=True)
def test_stand_in_signs_within_the_lower_limit(ruled: Served) -> None:
    now = datetime.now(UTC)
    stand_in = add_person(ruled.store, Role.REVIEWER, name="Stand In")

    def body(to: str, **given: str) -> dict[str, str]:
        return {
            "to": to,
            "from_at": (now - timedelta(hours=1)).isoformat(),
            "until_at": (now + timedelta(days=1)).isoformat(),
            "reason": "On leave",
        } | given

    made = ruled.post("/v1/delegations", Role.CONTROLLER, json=body(stand_in.email))
    assert 201 == made.status_code
    assert (
        403
        == ruled.post(
            "/v1/delegations", Role.REVIEWER, json=body(stand_in.email, absent="admin@example.com")
        ).status_code
    )
    (listed,) = ruled.get("/v1/delegations").json()
    assert ("user-controller", "user-stand") == (listed["from_user_id"], listed["to_user_id"])

    def try_release(limit: int) -> int:
        # The stand-in's own limit holds too: the lower one applies.
        with ruled.store.transaction() as tx:
            total = {"total_minor": limit, "subtotal_minor": limit - 7_752}
            tx.update("drafts", total, where={"draft_id": "DE:2026-10:SUB-00001"})
        path = f"/v1/cases/{ruled.case_ids[0]}"
        tag = {"If-Match": ruled.get(path).headers["ETag"], **stand_in.bearer}
        return ruled.post(f"{path}:release", None, json=RIGHT, headers=tag).status_code

    assert 403 == try_release(48_554)
    assert 422 == ruled.post("/v1/delegations", json=body("reviewer@example.com")).status_code
    path = f"/v1/delegations/{made.json()['delegation_id']}:end"
    assert 403 == ruled.post(path, Role.REVIEWER).status_code
    assert 200 == ruled.post(path, Role.CONTROLLER).status_code
    assert 409 == ruled.post(path, Role.CONTROLLER).status_code
    assert [] == ruled.get("/v1/delegations").json()


ONLY_CONTROLLERS = """
approvals:
  limits:
    reviewer: {default: 400}
  matrix:
    - {action: hold, over: {default: 100}, people: 1, of: [controller]}
"""


@pytest.mark.parametrize("policy", [ONLY_CONTROLLERS], indirect=True)
def test_stand_in_counts_as_whom_they_stand_in_for(ruled: Served, opened: Installation) -> None:
    now = datetime.now(UTC)
    with ruled.store.transaction() as tx:
        tx.execute("UPDATE drafts SET total_minor = 30000, subtotal_minor = 30000 - tax_minor")
    assert 403 == release(ruled, Role.REVIEWER)[0]
    body = {
        "to": "reviewer@example.com",
        "from_at": (now - timedelta(hours=1)).isoformat(),
        "until_at": (now + timedelta(days=1)).isoformat(),
        "reason": "On leave",
    }
    ruled.post("/v1/delegations", Role.CONTROLLER, json=body)
    with ruled.store.read() as tx:
        case = tx.get("cases", case_id=ruled.case_ids[0])
        actor = ruled.people[Role.REVIEWER].actor
        assert approving.may_sign(tx, opened, case, actor)
        assert 30_000 == approvals.total_of(tx, case)
    # Above their own limit it is nobody's but the controller's.
    with ruled.store.transaction() as tx:
        tx.execute("UPDATE drafts SET total_minor = 45000, subtotal_minor = 45000 - tax_minor")
        assert not approving.may_sign(tx, opened, case, actor)


@pytest.mark.parametrize("policy", [TWO], indirect=True)
def test_glass_is_broken_by_a_controller_and_reviewed_by_another(ruled: Served) -> None:
    assert 403 == release(ruled, Role.REVIEWER, alone_because="Quarter end")[0]
    status, done = release(ruled, Role.CONTROLLER, alone_because="Quarter end")
    assert (200, "issued") == (status, done["state"])
    (glass,) = ruled.get("/v1/broken-glass").json()
    assert ("Quarter end", "user-controller") == (glass["reason"], glass["entered_by"])
    path = f"/v1/broken-glass/{ruled.case_ids[0]}:review"
    own = ruled.post(path, Role.CONTROLLER, json={"review": "Fine"})
    assert (403, True) == (own.status_code, "somebody else must review" in own.json()["detail"])
    with pytest.raises(ConflictError), ruled.store.transaction() as tx:
        approvals.review_glass(tx, ruled.case_ids[0], "user-controller", "Fine")
    assert 200 == ruled.post(path, Role.ADMIN, json={"review": "Agreed by phone"}).status_code
    assert [] == ruled.get("/v1/broken-glass").json()
    assert 409 == ruled.post(path, Role.ADMIN, json={"review": "Again"}).status_code
    assert ("user-admin", "case.glass_reviewed") in actions(ruled)


@pytest.mark.parametrize("policy", [TWO], indirect=True)
def test_missing_people_are_named_before_a_run(ruled: Served, opened: Installation) -> None:
    with ruled.store.transaction() as tx:
        assert [] == approving.nobody_may(tx, opened)
        tx.execute("UPDATE users SET is_active = :no WHERE role <> 'reviewer'", {"no": False})
        (sentence,) = approving.nobody_may(tx, opened)
    assert "a hold over 100 takes 2 of reviewer, controller, and there are 1" in sentence


def test_without_a_matrix_one_person_is_enough(served: Served) -> None:
    assert "issued" == release(served, Role.REVIEWER, alone_because="ignored")[1]["state"]
    assert [] == served.get("/v1/broken-glass").json()
