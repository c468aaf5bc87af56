"""At the console, without scripts: a case is commented, asked about, put to sleep, escalated."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from prebill.store.codec import instant_text
from prebill.store.users import Role
from tests.api.conftest import Served
from tests.console.browserless import Visit

Visitors = Callable[[], Visit]


@pytest.fixture(autouse=True)
def _due(served: Served) -> None:
    due_at = datetime.now(UTC) + timedelta(days=2)
    with served.store.transaction() as tx:
        tx.execute("UPDATE cases SET due_at = :due", {"due": instant_text(due_at)})


def signed_in(visitors: Visitors, served: Served, role: Role) -> Visit:
    visit = visitors()
    visit.sign_in(served.people[role])
    return visit


def test_comment_with_a_file_is_shown_and_kept(served: Served, visitors: Visitors) -> None:
    visit = signed_in(visitors, served, Role.VIEWER)
    path = f"/cases/{served.case_ids[0]}"
    shown = visit.client.post(
        f"{path}/handle/comment",
        data={**visit.hidden(path), "text": "They <b>agreed</b>."},
        files={"file": ("C:\\Mails\\yes.txt", b"yes", "text/plain")},
        headers=visit.origin,
    )
    assert "They &lt;b&gt;agreed&lt;/b&gt;." in shown.text
    assert "Viewer Person commented" in shown.text
    assert ">yes.txt</a>" in shown.text
    href = re.search(r'href="([^"]*/files/\d+)"', shown.text)
    assert href
    kept = visit.get(href[1])
    assert (b"yes", True) == (kept.content, "attachment" in kept.headers["content-disposition"])


def test_question_finds_who_was_asked(served: Served, visitors: Visitors) -> None:
    mine = signed_in(visitors, served, Role.REVIEWER)
    path = f"/cases/{served.case_ids[0]}"
    asked = {"text": "Did they agree?", "of": "viewer@example.com"}
    assert (
        "Waits for an answer from Viewer Person"
        in mine.send(f"{path}/handle/ask", path, **asked).text
    )
    assert served.case_ids[0] not in mine.get("/queue").text
    assert "asked Viewer Person" in mine.get("/queue?owner=paused").text
    other = signed_in(visitors, served, Role.VIEWER)
    assert served.case_ids[0] in other.get("/queue?owner=asked").text
    answered = other.send(f"{path}/handle/answer", path, text="Yes.")
    assert "Viewer Person answered" in answered.text
    assert served.case_ids[0] in mine.get("/queue").text


def test_case_sleeps_for_a_choice_before_its_deadline(served: Served, visitors: Visitors) -> None:
    visit = signed_in(visitors, served, Role.REVIEWER)
    path = f"/cases/{served.case_ids[0]}"
    page = visit.get(path).text
    choices = re.findall(r'<option value="(2[^"]*Z)">([^<]*)</option>', page)
    assert ["1 hour", "4 hours", "1 day"] == [name for _, name in choices]
    shown = visit.send(f"{path}/handle/snooze", path, text="Tomorrow", until=choices[-1][0])
    assert "Sleeps until" in shown.text
    assert "1 case to decide" in visit.get("/queue").text
    assert "Sleeps" not in visit.send(f"{path}/handle/wake", path).text
    refused = visit.send(f"{path}/handle/snooze", path, text="Tomorrow", until="soon")
    assert (422, True) == (refused.status_code, "Choose until when it sleeps" in refused.text)


def test_escalated_case_has_no_decision_for_a_reviewer(served: Served, visitors: Visitors) -> None:
    mine = signed_in(visitors, served, Role.REVIEWER)
    path = f"/cases/{served.case_ids[0]}"
    shown = mine.send(f"{path}/handle/escalate", path, text="Above my limit")
    assert "A controller decides this case." in shown.text
    assert 'value="release"' not in shown.text
    other = signed_in(visitors, served, Role.CONTROLLER)
    assert 'value="release"' in other.get(path).text
    assert "escalated" in other.get("/queue?queue=escalated").text
    back = other.send(f"{path}/handle/send-back", path, text="Release it")
    assert "Controller Person sent it back" in back.text
    assert 'value="release"' in mine.get(path).text


@pytest.mark.parametrize("act", ["ask", "snooze", "wake", "escalate", "send-back"])
def test_viewer_moves_nothing(served: Served, visitors: Visitors, act: str) -> None:
    visit = signed_in(visitors, served, Role.VIEWER)
    path = f"/cases/{served.case_ids[0]}"
    assert 403 == visit.send(f"{path}/handle/{act}", path, text="x").status_code


def test_form_of_another_site_does_nothing(served: Served, visitors: Visitors) -> None:
    visit = signed_in(visitors, served, Role.REVIEWER)
    path = f"/cases/{served.case_ids[0]}/handle/comment"
    assert 403 == visit.client.post(path, data={"text": "x"}, headers=visit.origin).status_code
