"""Deciding over HTTP: versions, idempotency, credentials, races."""

import pytest

from prebill.store.users import Role
from tests.api.conftest import Served

RIGHT = {"reason": "unusual_but_right"}
SEEN = {"If-Match": '"1"'}


def path(served: Served, kind: str = "release", number: int = 0) -> str:
    return f"/v1/cases/{served.case_ids[number]}:{kind}"


def test_release_issues_the_draft_and_names_its_document(served: Served) -> None:
    answer = served.post(path(served), json=RIGHT, headers=SEEN)
    assert (answer.status_code, answer.json()["state"]) == (200, "issued")
    assert answer.json()["document_id"]
    case = served.get(f"/v1/cases/{served.case_ids[0]}").json()
    reviewer = served.people[Role.REVIEWER].actor.user_id
    assert (case["status"], case["resolved_by"]) == ("released", reviewer)


def test_verdict_keeps_code_note_and_author(served: Served) -> None:
    body = {"reason": "wrong_price", "note": "sold at 12.50"}
    assert served.post(path(served, "reject"), json=body, headers=SEEN).status_code == 200
    with served.store.read() as tx:
        row = tx.get("verdicts", case_id=served.case_ids[0])
    assert (row["verdict"], row["reason_code"]) == ("reject", "wrong_price")
    assert (row["note"], row["entered_by"]) == ("sold at 12.50", "user-reviewer")


def test_second_decision_sees_a_changed_case(served: Served) -> None:
    served.post(path(served), json=RIGHT, headers=SEEN)
    answer = served.post(path(served, "reject"), json=RIGHT, headers=SEEN)
    assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")
    assert answer.json()["etag"] == '"2"'


def test_decision_must_say_what_it_saw_and_why(served: Served) -> None:
    assert served.post(path(served), json=RIGHT).status_code == 428
    assert served.post(path(served), json=RIGHT, headers={"If-Match": "*"}).status_code == 412
    assert served.post(path(served), json={"reason": " "}, headers=SEEN).status_code == 422
    assert served.post(path(served), json={}, headers=SEEN).status_code == 422


def test_actor_can_not_be_named(served: Served) -> None:
    body = {**RIGHT, "actor": "user-controller"}
    answer = served.post(path(served), json=body, headers=SEEN)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_same_key_gives_the_first_answer_again(served: Served) -> None:
    headers = {**SEEN, "Idempotency-Key": "k1"}
    first = served.post(path(served), json=RIGHT, headers=headers)
    again = served.post(path(served), json=RIGHT, headers=headers)
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["idempotency-replayed"] == "true"


def test_same_key_with_another_request_is_refused(served: Served) -> None:
    headers = {**SEEN, "Idempotency-Key": "k1"}
    served.post(path(served), json=RIGHT, headers=headers)
    for other in (path(served, "reject"), path(served, "release", 1)):
        answer = served.post(other, json=RIGHT, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


def test_key_of_a_failed_request_may_be_sent_again(served: Served) -> None:
    headers = {"If-Match": '"7"', "Idempotency-Key": "k1"}
    for _ in range(2):
        assert served.post(path(served), json=RIGHT, headers=headers).status_code == 412


def test_key_of_another_user_is_another_key(served: Served) -> None:
    headers = {**SEEN, "Idempotency-Key": "k1"}
    served.post(path(served), json=RIGHT, headers=headers)
    answer = served.post(path(served), Role.CONTROLLER, json=RIGHT, headers=headers)
    assert answer.status_code == 412


@pytest.mark.parametrize("kind", ["release", "correct", "reject"])
def test_unknown_case_is_not_found(served: Served, kind: str) -> None:
    body = {**RIGHT, "correction": {"kind": "tax_status", "country": "AT"}}
    answer = served.post(f"/v1/cases/case:none:{kind}", json=body, headers=SEEN)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_correction_without_content_is_refused(served: Served) -> None:
    for correction in (None, {}, {"kind": "magic"}):
        body = {"reason": "wrong_price", "correction": correction}
        answer = served.post(path(served, "correct"), json=body, headers=SEEN)
        assert answer.status_code == 422
