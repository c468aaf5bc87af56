"""Claiming at the console, without scripts."""

from collections.abc import Callable

from prebill.store.users import Role
from tests.api.conftest import Served
from tests.console.browserless import Visit

Visitors = Callable[[], Visit]


def paths(served: Served, *more: str) -> list[str]:
    """Where claims are sent to."""
    kinds = ("claim/take", "claim/take-over", "claim/let-go", *more)
    return ["/queue/next", *(f"/cases/{served.case_ids[0]}/{kind}" for kind in kinds)]


def signed_in(visitors: Visitors, served: Served, role: Role) -> Visit:
    visit = visitors()
    visit.sign_in(served.people[role])
    return visit


def test_next_case_is_taken_shown_to_others_and_taken_over(
    served: Served, visitors: Visitors
) -> None:
    mine = signed_in(visitors, served, Role.REVIEWER)
    taken = mine.send("/queue/next", "/queue")
    assert f"/cases/{served.case_ids[0]}" == str(taken.url.path)
    assert "You work on this case until" in taken.text
    other = signed_in(visitors, served, Role.CONTROLLER)
    assert '<span class="tag">Reviewer Person</span>' in other.get("/queue").text
    path = f"/cases/{served.case_ids[0]}"
    seen = other.get(path).text
    assert "Reviewer Person works on it until" in seen
    assert 'value="release"' not in seen
    refused = other.send(f"{path}/claim/take", path)
    assert 409 == refused.status_code
    assert "take it over, or choose another" in refused.text
    assert "You work on this case" in other.send(f"{path}/claim/take-over", path).text
    late = mine.send(f"{path}/release", "/queue", lock_version="1", reason="unusual_but_right")
    assert 409 == late.status_code
    assert "Controller Person works on case" in late.text
    assert "Nobody works on this case." in other.send(f"{path}/claim/let-go", path).text


def test_queue_of_mine_and_of_nobody(served: Served, visitors: Visitors) -> None:
    mine = signed_in(visitors, served, Role.REVIEWER)
    mine.send("/queue/next", "/queue")
    assert served.case_ids[0] in mine.get("/queue?owner=me").text
    assert served.case_ids[1] not in mine.get("/queue?owner=me").text
    assert served.case_ids[0] not in mine.get("/queue?owner=nobody").text


def test_nothing_left_is_said(served: Served, visitors: Visitors) -> None:
    for role in (Role.REVIEWER, Role.CONTROLLER):
        signed_in(visitors, served, role).send("/queue/next", "/queue")
    last = signed_in(visitors, served, Role.ADMIN).send("/queue/next", "/queue")
    assert "Nothing waits that nobody else works on." in last.text


def test_who_has_the_case_open_is_told(served: Served, visitors: Visitors) -> None:
    path = f"/cases/{served.case_ids[0]}"
    mine, other = (signed_in(visitors, served, r) for r in (Role.REVIEWER, Role.CONTROLLER))
    assert "" == mine.send(f"{path}/here", path).text
    assert "Also here: Reviewer Person." == other.send(f"{path}/here", path).text
    assert "Also here: Controller Person." in mine.get(path).text
    mine.send("/cases/case:none/here", path)
    with served.store.read() as tx:
        assert 2 == tx.scalar("SELECT count(*) FROM viewers")


def test_viewer_takes_nothing(served: Served, visitors: Visitors) -> None:
    looks = signed_in(visitors, served, Role.VIEWER)
    assert "Take the next case" not in looks.get("/queue").text
    token = {"csrf_token": looks.hidden("/queue")["csrf_token"]}
    for path in paths(served):
        answer = looks.client.post(path, data=token, headers=looks.origin)
        assert 403 == answer.status_code, path


def test_form_of_another_site_takes_nothing(served: Served, visitors: Visitors) -> None:
    mine = signed_in(visitors, served, Role.REVIEWER)
    for path in paths(served, "here"):
        assert 403 == mine.client.post(path, data={}, headers=mine.origin).status_code, path
