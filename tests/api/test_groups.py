"""One decision for all cases of one cause: sampled first, done once, resumed after a crash."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import polars as pl
import pytest

from prebill.store import grouping as store
from prebill.store.users import Role
from prebill.workflows import grouping, resolve
from tests.api.builders import add_waiting
from tests.api.conftest import Served

CAUSE = "2026-10:price_differs_from_contract:eur-3"
RIGHT = {"reason": "unusual_but_right"}
WRONG = {"reason": "wrong_price"}
ME, OTHER = Role.REVIEWER, Role.CONTROLLER


@pytest.fixture
def group(served: Served) -> list[str]:
    """Twelve cases with one cause; two of a smaller one."""
    with served.store.transaction() as tx:
        every = [*served.case_ids, *(add_waiting(tx, n) for n in range(3, 15))]
        few = pl.DataFrame({"case_id": every[12:], "cause": "2026-10:usage_missing:calls"})
        many = pl.DataFrame({"case_id": every[:12], "cause": CAUSE})
        store.save_causes(tx, pl.concat([many, few]))
    return every[:12]


def seen(served: Served) -> dict[str, Any]:
    answer: dict[str, Any] = served.get(f"/v1/case-groups/{CAUSE}").json()
    return answer


def decide_one(served: Served, case_id: str, kind: str, role: Role = ME) -> int:
    body = RIGHT if kind == "release" else WRONG
    path = f"/v1/cases/{case_id}:{kind}"
    return served.post(path, role, json=body, headers={"If-Match": '"1"'}).status_code


def decide_sample(served: Served, kind: str, *, but: int = 0) -> None:
    for case_id in seen(served)["sample"][but:]:
        assert 200 == decide_one(served, case_id, kind)


def decide_all(served: Served, kind: str, role: Role = ME, **more: str) -> tuple[int, Any]:
    body = (RIGHT if kind == "release" else WRONG) | more
    answer = served.post(f"/v1/case-groups/{CAUSE}:{kind}", role, json=body)
    return answer.status_code, answer.json()


def finished(served: Served, body: dict[str, Any]) -> dict[str, Any]:
    """What came of a decision, once every member was asked."""
    for _ in range(200):
        state: dict[str, Any] = served.get(f"/v1/group-decisions/{body['decision_id']}").json()
        if state["status"] == "finished":
            return state
        time.sleep(0.05)
    raise AssertionError(state)


def states(served: Served, ids: list[str]) -> list[str]:
    with served.store.read() as tx:
        rows = tx.rows("SELECT case_id, status FROM cases")
    found = {row["case_id"]: row["status"] for row in rows}
    return [found[one] for one in ids]


def test_groups_are_listed_with_their_money(served: Served, group: list[str]) -> None:
    (only,) = served.get("/v1/case-groups").json()
    assert (CAUSE, 12) == (only["cause"], only["cases"])
    assert {"EUR": 12 * 4_650} == only["expected_loss_minor"]
    found = seen(served)
    assert sorted(group) == found["waiting"]
    assert 4 == len(found["sample"])
    assert found["sample"] == seen(served)["sample"]
    assert not found["may_release"]
    assert 404 == served.get("/v1/case-groups/none").status_code


def test_sample_comes_first_and_decides_the_way(served: Served, group: list[str]) -> None:
    status, problem = decide_all(served, "release")
    assert (409, True) == (status, "look at 4 more of the 4 sampled" in problem["detail"])
    decide_sample(served, "release", but=1)
    assert 409 == decide_all(served, "release")[0]
    decide_one(served, seen(served)["sample"][0], "reject")
    status, problem = decide_all(served, "release")
    assert (409, True) == (status, "1 of 4 sampled cases were found to be wrong" in str(problem))
    assert 409 == decide_all(served, "reject")[0]
    assert 8 == states(served, group).count("open")


def test_rest_follows_the_sample(served: Served, group: list[str]) -> None:
    decide_sample(served, "release")
    status, body = decide_all(served, "release", note="Price book checked")
    assert 202 == status
    state = finished(served, body)
    assert (8, 0, 0) == (state["done"], state["refused"], state["pending"])
    assert {"released"} == set(states(served, group))
    with served.store.read() as tx:
        documents = tx.scalar("SELECT count(*) FROM documents")
        notes = tx.rows("SELECT note, reason_code, entered_by FROM verdicts")
        labels = tx.scalar("SELECT count(*) FROM labels WHERE source = 'verdict'")
        entry = tx.first("SELECT * FROM audit_entries WHERE action = 'group.decided'")
    assert (12, 12) == (documents, labels)
    together = [one for one in notes if body["decision_id"] in (one["note"] or "")]
    assert 8 == len(together)
    assert f"Price book checked [{body['decision_id']}]" == together[0]["note"]
    assert entry is not None
    assert ("user-reviewer", body["decision_id"]) == (entry["actor"], entry["object_id"])
    # Nothing of the cause waits any more: the same again finds nothing.
    assert 404 == decide_all(served, "release")[0]


def test_wrong_ones_are_rejected_together(served: Served, group: list[str]) -> None:
    decide_sample(served, "reject")
    assert 409 == decide_all(served, "release")[0]
    status, body = decide_all(served, "reject")
    assert (202, 8) == (status, finished(served, body)["done"])
    assert {"rejected"} == set(states(served, group))
    with served.store.read() as tx:
        assert 0 == tx.scalar("SELECT count(*) FROM documents")


def test_members_that_others_work_on_are_left_and_named(served: Served, group: list[str]) -> None:
    decide_sample(served, "release")
    rest = [one for one in group if one not in seen(served)["sample"]]
    served.post(f"/v1/cases/{rest[0]}:claim", OTHER)
    served.post(f"/v1/cases/{rest[1]}:escalate", ME, json={"text": "Too large"})
    assert 200 == served.post(f"/v1/cases/{rest[2]}:detach", ME).status_code
    assert 409 == served.post(f"/v1/cases/{rest[2]}:detach", ME).status_code
    _, body = decide_all(served, "release")
    state = finished(served, body)
    assert (5, 1) == (state["done"], state["refused"])
    (left,) = state["left"]
    assert (rest[0], True) == (left["case_id"], "Controller Person works on" in left["message"])
    assert ["open"] * 3 == states(served, rest[:3])


def test_crash_in_the_middle_loses_nothing_and_does_nothing_twice(
    served: Served, group: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    decide_sample(served, "release")
    opened, actor = _opened(served), served.people[ME].actor
    decision_id = grouping.decide_group(opened, actor, CAUSE, "release", "looked_right", "")
    real, calls = resolve.release, []

    def dies(*given: Any, **named: Any) -> Any:
        calls.append(given[1])
        done = real(*given, **named)
        if len(calls) == 3:  # the case is closed, and nothing was written down about it
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(resolve, "release", dies)
    with pytest.raises(KeyboardInterrupt):
        grouping.carry_on(opened, decision_id)
    monkeypatch.setattr(resolve, "release", real)
    assert 5 == states(served, group).count("open")
    with ThreadPoolExecutor(4) as several:  # server and worker go on at the same moment
        list(several.map(lambda _: grouping.carry_on_all(opened), range(4)))
    with served.store.read() as tx:
        state = store.progress(tx, decision_id)
        assert 12 == tx.scalar("SELECT count(*) FROM documents")
    assert ("finished", 8, 0) == (state["status"], state["done"], state["refused"])
    assert 0 == grouping.carry_on_all(opened)


def test_what_nobody_looked_at_is_no_sample(served: Served, group: list[str]) -> None:
    """Later members of a cause are sampled anew: earlier ones went along, or by deadline."""
    decide_sample(served, "release")
    _, body = decide_all(served, "release")
    finished(served, body)
    with served.store.transaction() as tx:
        later = [add_waiting(tx, number) for number in range(20, 32)]
        store.save_causes(tx, pl.DataFrame({"case_id": later, "cause": CAUSE}))
    # The deadline of one passes that was to be looked at.
    by_time = seen(served)["sample"][0]
    resolve.release(_opened(served), by_time, store.POLICY, 1, resolve.DEADLINE_PASSED)
    found = seen(served)
    left = {*later} - {by_time}
    assert sorted(left) == found["waiting"]
    assert 4 == len(found["sample"])
    assert set(found["sample"]) <= left
    assert [] == found["sample_verdicts"]
    assert 409 == decide_all(served, "release")[0]
    assert {"released"} == set(states(served, group))
    decide_sample(served, "release")
    status, body = decide_all(served, "release")
    assert (202, 7) == (status, finished(served, body)["done"])


def test_reason_is_needed(served: Served, group: list[str]) -> None:
    assert group
    answer = served.post(f"/v1/case-groups/{CAUSE}:release", ME, json={"reason": ""})
    assert 422 == answer.status_code


def _opened(served: Served) -> Any:
    from prebill.bootstrap import Installation
    from prebill.lake import Lake
    from prebill.settings import Settings

    settings = Settings.load()
    return Installation(settings, served.store, Lake(settings.lake_dir))
