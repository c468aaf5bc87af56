"""Claiming: one person works on a case, the others see it, and nobody who left holds it up."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from prebill.store import claims
from prebill.store.codec import instant_text
from prebill.store.users import Role
from tests.api.builders import add_waiting
from tests.api.conftest import Served

RIGHT = {"reason": "unusual_but_right"}
SEEN = {"If-Match": '"1"'}
NOW = datetime(2026, 11, 28, 9, tzinfo=UTC)
ME, OTHER = Role.REVIEWER, Role.CONTROLLER


def claim(served: Served, kind: str = "claim", role: Role = ME, number: int = 0) -> int:
    return served.post(f"/v1/cases/{served.case_ids[number]}:{kind}", role).status_code


def audited(served: Served) -> list[tuple[str, str]]:
    with served.store.read() as tx:
        rows = tx.rows("SELECT actor, action FROM audit_entries ORDER BY seq")
    return [(one["actor"], one["action"]) for one in rows]


def test_case_that_somebody_works_on_is_not_decided_by_another(served: Served) -> None:
    path = f"/v1/cases/{served.case_ids[0]}"
    assert 200 == claim(served)
    brief = served.get(path).json()
    assert "Reviewer Person" == brief["owner"]
    assert brief["owned_until"] > instant_text(datetime.now(UTC))
    refused = served.post(f"{path}:release", OTHER, json=RIGHT, headers=SEEN)
    assert 409 == refused.status_code
    assert "Reviewer Person works on case" in refused.json()["detail"]
    assert "take it over, or choose another" in refused.json()["detail"]
    assert 409 == claim(served, role=OTHER)
    assert 200 == served.post(f"{path}:release", ME, json=RIGHT, headers=SEEN).status_code
    with served.store.read() as tx:
        assert 0 == tx.scalar("SELECT count(*) FROM claims")
    assert 409 == claim(served)


def test_take_over_says_from_whom(served: Served) -> None:
    claim(served)
    assert 200 == claim(served, "take-over", OTHER)
    assert ("user-controller", "case.taken_over") in audited(served)
    with served.store.read() as tx:
        (entry,) = tx.rows("SELECT detail FROM audit_entries WHERE action = 'case.taken_over'")
    assert '"from":"user-reviewer"' in entry["detail"]
    decided = served.post(f"/v1/cases/{served.case_ids[0]}:release", ME, json=RIGHT, headers=SEEN)
    assert 409 == decided.status_code


def test_who_lets_go_makes_room(served: Served) -> None:
    claim(served)
    assert 200 == claim(served, "let-go", OTHER)  # not theirs: nothing happens
    assert 409 == claim(served, role=OTHER)
    assert 200 == claim(served, "let-go")
    assert 200 == claim(served, role=OTHER)
    told = [action for _, action in audited(served) if action.startswith("case.")]
    assert ["case.claimed", "case.let_go", "case.claimed"] == told


def test_lease_ends_by_itself_and_is_extended_by_its_owner(served: Served) -> None:
    case_id = served.case_ids[0]
    with served.store.transaction() as tx:
        claims.claim(tx, case_id, "ann", NOW)
        claims.claim(tx, case_id, "ann", NOW + timedelta(minutes=10))
        owner = claims.owner_of(tx, case_id, NOW + timedelta(minutes=20))
        assert owner is not None
        assert instant_text(NOW) == owner["claimed_at"]
        after = NOW + timedelta(minutes=10) + claims.LEASE
        assert claims.owner_of(tx, case_id, after) is None
        claims.claim(tx, case_id, "ben", after)
        claims.require_mine(tx, case_id, "ben", after)


def test_next_is_the_most_money_that_nobody_else_works_on(served: Served) -> None:
    def following(role: Role, **query: str) -> str | None:
        return served.post("/v1/cases:next", role, params=query).json()["case_id"]

    first, second = served.case_ids
    assert first == following(ME)
    assert second == following(OTHER)
    assert first == following(ME)  # what was begun is ended first
    assert 2 == sum(action == "case.claimed" for _, action in audited(served))
    assert following(Role.ADMIN) is None
    assert following(Role.ADMIN, queue="nowhere") is None


def test_list_shows_whose_cases_they_are(served: Served) -> None:
    claim(served)

    def listed(owner: str, role: Role = ME) -> list[str]:
        answer = served.get("/v1/cases", role, params={"owner": owner})
        return [one["case_id"] for one in answer.json()["cases"]]

    assert [served.case_ids[0]] == listed("me")
    assert [served.case_ids[1]] == listed("nobody")
    assert list(served.case_ids) == listed("")
    assert [] == listed("me", OTHER)
    assert 422 == served.get("/v1/cases", ME, params={"owner": "ann"}).status_code


@pytest.fixture
def crowded(served: Served) -> tuple[Served, list[str]]:
    """Sixty-four people, and some cases more."""
    people = [f"p{number:02}" for number in range(64)]
    with served.store.transaction() as tx:
        for number in range(3, 11):
            add_waiting(tx, number, priority=1.0 + number / 100)
    return served, people


def test_of_sixty_four_one_gets_the_case(crowded: tuple[Served, list[str]]) -> None:
    served, people = crowded

    def ask(name: str) -> bool:
        with served.store.transaction() as tx:
            try:
                claims.claim(tx, served.case_ids[0], name, NOW)
            except claims.ConflictError:
                return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert 1 == sum(pool.map(ask, people))


def test_sixty_four_ask_for_the_next_and_no_case_is_given_twice(
    crowded: tuple[Served, list[str]],
) -> None:
    served, people = crowded

    def ask(name: str) -> str | None:
        with served.store.transaction() as tx:
            return claims.claim_free(tx, name, NOW)

    with ThreadPoolExecutor(16) as pool:
        given = [one for one in pool.map(ask, people) if one is not None]
    assert 10 == len(given) == len(set(given))


def test_sixty_four_decide_and_one_wins(served: Served) -> None:
    path = f"/v1/cases/{served.case_ids[0]}"

    def decide(number: int) -> int:
        kind = ("release", "reject")[number % 2]
        return served.post(f"{path}:{kind}", json=RIGHT, headers=SEEN).status_code

    with ThreadPoolExecutor(64) as pool:
        assert [200, *[412] * 63] == sorted(pool.map(decide, range(64)))
