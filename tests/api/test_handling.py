"""Before a decision: comments with files, questions and answers, sleep, escalation."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from prebill.store.codec import instant_text
from prebill.store.users import Role
from tests.api.conftest import Served

ME, OTHER = Role.REVIEWER, Role.CONTROLLER
RIGHT = {"reason": "unusual_but_right"}


@pytest.fixture
def due(served: Served) -> datetime:
    """The deadline of every case: two days from now."""
    due_at = datetime.now(UTC) + timedelta(days=2)
    with served.store.transaction() as tx:
        tx.execute("UPDATE cases SET due_at = :due", {"due": instant_text(due_at)})
    return due_at


def act(served: Served, kind: str, role: Role = ME, **body: Any) -> tuple[int, str]:
    """Do something with the first case; return status and what is said of a refusal."""
    path = f"/v1/cases/{served.case_ids[0]}:{kind}"
    answer = served.post(path, role, json=body)
    return answer.status_code, answer.json().get("detail", "")


def queue(served: Served, role: Role = ME, **query: str) -> list[str]:
    answer = served.get("/v1/cases", role, params=query)
    return [one["case_id"] for one in answer.json()["cases"]]


def case(served: Served) -> dict[str, Any]:
    found: dict[str, Any] = served.get(f"/v1/cases/{served.case_ids[0]}").json()
    return found


def notes(served: Served) -> list[tuple[str, str, str]]:
    return [(one["kind"], one["text"], one["author"]) for one in case(served)["notes"]]


def actions(served: Served) -> list[tuple[str, str]]:
    with served.store.read() as tx:
        rows = tx.rows("SELECT action, detail FROM audit_entries ORDER BY seq")
    return [(one["action"], one["detail"]) for one in rows]


def test_comment_is_kept_with_its_file(served: Served) -> None:
    content = b"%PDF- signed \x00 agreement"
    file = {
        "name": "../Zusage Müller.pdf",
        "media_type": "application/pdf",
        "content_base64": base64.b64encode(content).decode(),
    }
    assert (200, "") == act(served, "comment", Role.VIEWER, text=" They agreed. ", file=file)
    assert (200, "") == act(served, "comment", text="Filed.", file=file)
    first, second = case(served)["notes"]
    assert ("comment", "They agreed.", "Viewer Person") == (
        *(first["kind"], first["text"], first["author"]),
    )
    assert len(content) == first["size"] == second["size"]
    path = f"/v1/cases/{served.case_ids[0]}/files/{first['seq']}"
    answer = served.get(path)
    assert content == answer.content
    assert "application/octet-stream" == answer.headers["content-type"]
    assert (
        "attachment; filename*=UTF-8''..%2FZusage%20M%C3%BCller.pdf"
        == (answer.headers["content-disposition"])
    )
    assert 404 == served.get(path.replace(served.case_ids[0], served.case_ids[1])).status_code
    with served.store.read() as tx:
        assert 1 == tx.scalar("SELECT count(*) FROM case_files")
    # The words stand where they can be erased, and nowhere else.
    assert "agreed" not in str(actions(served))


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("comment", {}, "write the comment"),
        ("comment", {"text": "x" * 2001}, "at most 2000"),
        (
            "comment",
            {"text": "x", "file": {"name": "a", "content_base64": "!!"}},
            "is no base64 text",
        ),
        (
            "comment",
            {"text": "x", "file": {"name": "a", "content_base64": ""}},
            "a file has 1 byte to 5 MB",
        ),
        ("snooze", {"text": "later"}, "say until when"),
        ("snooze", {"text": "later", "until_at": "2026-01-01T09:00:00"}, "with a time zone"),
        ("snooze", {"text": "later", "until_at": "2026-01-01T09:00:00Z"}, "a time to come"),
        ("snooze", {"text": "later", "until_at": "2099-01-01T09:00:00Z"}, "past its deadline"),
        ("snooze", {"until_at": "2026-01-01T09:00:00Z"}, "say why it may wait"),
        ("ask", {"text": "Why?", "of": "nobody@example.com"}, "is no e-mail address of"),
        ("ask", {"text": "Why?", "of": "reviewer@example.com"}, "is no e-mail address of"),
        ("ask", {"of": "viewer@example.com"}, "write the question"),
        ("escalate", {}, "say why it needs more authority"),
    ],
)
def test_what_is_missing_is_said(
    served: Served, due: datetime, kind: str, body: dict[str, Any], said: str
) -> None:
    assert due > datetime.now(UTC)
    status, detail = act(served, kind, **body)
    assert (422, True) == (status, said in detail), detail
    assert [] == notes(served)
    assert list(served.case_ids) == queue(served)


def test_case_sleeps_until_it_wakes(served: Served, due: datetime) -> None:
    first, second = served.case_ids
    until = instant_text(due - timedelta(days=1))
    assert (200, "") == act(served, "snooze", text="The amendment comes tomorrow", until_at=until)
    assert [second] == queue(served)
    assert [first] == queue(served, pause="yes")
    assert [first, second] == queue(served, pause="any")
    assert ("snooze", until) == (case(served)["pause"], case(served)["paused_until"])
    assert second == served.post("/v1/cases:next", ME).json()["case_id"]
    assert None is served.post("/v1/cases:next", OTHER).json()["case_id"]
    # Whoever opens it decides it all the same.
    assert (200, "") == act(served, "wake")
    assert [first, second] == queue(served)
    assert [
        ("snooze", "The amendment comes tomorrow", "Reviewer Person"),
        ("wake", "", "Reviewer Person"),
    ] == notes(served)
    assert (200, "") == act(served, "wake")  # it waits already: nothing happens
    assert ["case.snoozed", "case.claimed", "case.woken"] == [one for one, _ in actions(served)]


def test_sleep_ends_by_itself(served: Served, due: datetime) -> None:
    act(served, "snooze", text="later", until_at=instant_text(due - timedelta(days=1)))
    with served.store.transaction() as tx:
        past = instant_text(datetime.now(UTC) - timedelta(seconds=1))
        tx.execute("UPDATE case_pauses SET until_at = :past", {"past": past})
    assert list(served.case_ids) == queue(served)
    assert None is case(served)["pause"]


def test_who_was_asked_answers_and_nobody_else(served: Served, due: datetime) -> None:
    question = {"text": "Did they agree?", "of": " Viewer@Example.com "}
    assert (200, "") == act(served, "ask", **question)
    assert "question" == case(served)["pause"]
    assert instant_text(due) == case(served)["paused_until"]
    assert "Viewer Person" == case(served)["asked"]
    assert [served.case_ids[0]] == queue(served, Role.VIEWER, asked="me")
    assert [] == queue(served, ME, asked="me")
    status, detail = act(served, "answer", OTHER, text="Yes.")
    assert (403, True) == (status, "you were not asked" in detail)
    assert (200, "") == act(served, "answer", Role.VIEWER, text="Yes, on Monday.")
    assert list(served.case_ids) == queue(served)
    assert 403 == act(served, "answer", Role.VIEWER, text="Again.")[0]
    assert ["question", "answer"] == [kind for kind, *_ in notes(served)]


def test_escalated_case_is_a_controllers(served: Served, due: datetime) -> None:
    assert due > datetime.now(UTC)
    first, second = served.case_ids
    before = case(served)
    act(served, "claim")
    assert (200, "") == act(served, "escalate", text="Above my limit")
    after = case(served)
    assert ("escalated", None) == (after["queue"], after["owner"])
    assert before["due_at"] == after["due_at"]
    assert before["lock_version"] + 1 == after["lock_version"]
    assert 409 == act(served, "escalate", text="Again")[0]
    # Who had it open before sees that it changed; who reloads it, that it is not theirs.
    for version, status in ((before["lock_version"], 403), (after["lock_version"], 403)):
        tag = {"If-Match": f'"{version}"'}
        answer = served.post(f"/v1/cases/{first}:release", ME, json=RIGHT, headers=tag)
        assert (status, True) == (answer.status_code, "a controller decides" in answer.text)
    assert second == served.post("/v1/cases:next", ME).json()["case_id"]
    assert first == served.post("/v1/cases:next", OTHER).json()["case_id"]
    assert 403 == act(served, "send-back", ME, text="x")[0]
    assert (200, "") == act(served, "send-back", OTHER, text="Release it: agreed by phone")
    assert (before["queue"], None) == (case(served)["queue"], case(served)["owner"])
    assert 409 == act(served, "send-back", OTHER, text="x")[0]
    assert ["escalation", "sent_back"] == [kind for kind, *_ in notes(served)]


def test_controller_decides_and_nothing_is_left(served: Served, due: datetime) -> None:
    act(served, "escalate", text="Above my limit")
    act(served, "snooze", OTHER, text="x", until_at=instant_text(due - timedelta(hours=1)))
    tag = {"If-Match": f'"{case(served)["lock_version"]}"'}
    path = f"/v1/cases/{served.case_ids[0]}"
    assert 200 == served.post(f"{path}:release", OTHER, json=RIGHT, headers=tag).status_code
    with served.store.read() as tx:
        for table in ("claims", "viewers", "case_pauses", "case_escalations"):
            assert 0 == tx.scalar(f"SELECT count(*) FROM {table}")
    assert 2 == len(notes(served))
    assert 409 == act(served, "snooze", text="x", until_at=instant_text(due))[0]
    assert (200, "") == act(served, "comment", text="For the file.")


def test_what_another_works_on_is_left_alone(served: Served, due: datetime) -> None:
    act(served, "claim", OTHER)
    until = instant_text(due - timedelta(days=1))
    for kind, body in (
        ("snooze", {"text": "x", "until_at": until}),
        ("ask", {"text": "x", "of": "viewer@example.com"}),
        ("escalate", {"text": "x"}),
    ):
        status, detail = act(served, kind, **body)
        assert (409, True) == (status, "Controller Person works on case" in detail)
    assert (200, "") == act(served, "comment", text="See the mail.")


def test_same_key_says_it_once(served: Served) -> None:
    path, key = f"/v1/cases/{served.case_ids[0]}:comment", {"Idempotency-Key": "one"}
    for _ in range(2):
        assert 200 == served.post(path, ME, json={"text": "Once."}, headers=key).status_code
    assert 1 == len(notes(served))
