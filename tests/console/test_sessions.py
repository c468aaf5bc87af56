"""Signing in and out, sessions, one-time passwords, forms from elsewhere."""

from collections.abc import Callable

import httpx

from prebill.api.headers import CONTENT_SECURITY_POLICY
from prebill.console.sessions import COOKIE
from prebill.store.users import Role
from tests.api.builders import add_person
from tests.api.conftest import Served
from tests.console.browserless import Visit

Visitors = Callable[[], Visit]
NEW_PASSWORD = "a much better password"


def test_stranger_is_led_to_sign_in_and_back(served: Served, visit: Visit) -> None:
    page = visit.get(f"/cases/{served.case_ids[0]}")
    assert page.url.path == "/sign-in"
    hidden = visit.hidden(str(page.url))
    fields = {"email": served.people[Role.VIEWER].email, "password": "correct horse battery"}
    target = dict(page.url.params)["next_path"]
    answer = visit.client.post("/sign-in", data={**hidden, **fields, "next_path": target})
    assert answer.url.path == f"/cases/{served.case_ids[0]}"


def test_every_page_is_closed_to_strangers(served: Served) -> None:
    case, draft = served.case_ids[0], "DE:2026-10:SUB-00001"
    for path in ("/", "/queue", f"/cases/{case}", "/runs", f"/invoices/{draft}", "/password"):
        answer = httpx.get(served.url + path)
        assert (answer.status_code, answer.headers["location"][:8]) == (303, "/sign-in")
    for path in (f"/cases/{case}/release", "/sign-out", "/password"):
        assert httpx.post(served.url + path).headers["location"] == "/sign-in"


def test_wrong_password_tells_nothing_about_the_account(served: Served, visitors: Visitors) -> None:
    texts = set()
    for email in (served.people[Role.VIEWER].email, "nobody@example.com"):
        visit = visitors()
        answer = visit.send("/sign-in", "/sign-in", email=email, password="guessed wrongly")
        assert answer.status_code == 401
        texts.add(answer.text.partition('role="alert"')[2].partition("</p>")[0])
    assert len(texts) == 1


def test_sixth_guess_is_not_even_looked_at(served: Served, visitors: Visitors) -> None:
    visit, person = visitors(), served.people[Role.VIEWER]
    for _ in range(5):
        assert visit.sign_in(person, "guessed wrongly").status_code == 401
    assert visit.sign_in(person).status_code == 429
    assert visitors().sign_in(served.people[Role.REVIEWER]).status_code == 200


def test_cookie_is_out_of_reach_of_scripts_and_other_sites(
    served: Served, visitors: Visitors
) -> None:
    visit, person = visitors(), served.people[Role.VIEWER]
    visit.client.follow_redirects = False
    given = visit.sign_in(person).headers["set-cookie"]
    assert given.startswith(f"{COOKIE}=")
    assert "HttpOnly" in given
    assert "SameSite=strict" in given
    assert person.email not in given


def test_altered_cookie_is_a_stranger(served: Served, visit: Visit) -> None:
    visit.sign_in(served.people[Role.VIEWER])
    value = visit.client.cookies[COOKIE]
    forged = httpx.get(f"{served.url}/queue", cookies={COOKIE: value[:-2] + "xx"})
    assert forged.headers["location"].startswith("/sign-in")


def test_sign_out_ends_the_session(served: Served, visit: Visit) -> None:
    visit.sign_in(served.people[Role.VIEWER])
    visit.send("/sign-out", "/queue")
    assert visit.get("/queue").url.path == "/sign-in"


def test_one_time_password_opens_nothing_but_its_change(served: Served, visitors: Visitors) -> None:
    person = add_person(served.store, Role.REVIEWER, name="Newcomer", must_change_password=True)
    visit = visitors()
    assert visit.sign_in(person).url.path == "/password"
    assert visit.get("/queue").url.path == "/password"
    fields = {"present": "correct horse battery", "new": NEW_PASSWORD, "again": NEW_PASSWORD}
    assert visit.send("/password", "/password", **fields).url.path == "/queue"
    assert visitors().sign_in(person, NEW_PASSWORD).url.path == "/queue"


def test_changed_password_ends_other_sessions(served: Served, visitors: Visitors) -> None:
    person = served.people[Role.REVIEWER]
    first, second = visitors(), visitors()
    first.sign_in(person)
    second.sign_in(person)
    fields = {"present": "correct horse battery", "new": NEW_PASSWORD, "again": NEW_PASSWORD}
    first.send("/password", "/password", **fields)
    assert first.get("/queue").url.path == "/queue"
    assert second.get("/queue").url.path == "/sign-in"


def test_bad_new_passwords_are_refused_in_words(served: Served, visit: Visit) -> None:
    visit.sign_in(served.people[Role.REVIEWER])
    present = "correct horse battery"
    for new, again, said in (
        ("short", "short", "at least 12 characters"),
        (NEW_PASSWORD, NEW_PASSWORD + "!", "differ"),
        (present, present, "other than the present one"),
    ):
        answer = visit.send("/password", "/password", present=present, new=new, again=again)
        assert answer.status_code == 422
        assert said in answer.text
    answer = visit.send("/password", "/password", present="?", new=NEW_PASSWORD, again=NEW_PASSWORD)
    assert "present password is wrong" in answer.text


def test_form_of_another_site_or_session_is_refused(served: Served, visitors: Visitors) -> None:
    visit, other = visitors(), visitors()
    visit.sign_in(served.people[Role.REVIEWER])
    other.sign_in(served.people[Role.CONTROLLER])
    good = visit.hidden("/queue")
    foreign = {"Origin": "https://evil.example"}
    cross = {"Sec-Fetch-Site": "cross-site"}
    for data, headers in ((good, foreign), (good, cross), (other.hidden("/queue"), {}), ({}, {})):
        assert visit.client.post("/sign-out", data=data, headers=headers).status_code == 403
    assert visit.get("/queue").url.path == "/queue"


def test_inactive_user_is_out_at_once(served: Served, visitors: Visitors) -> None:
    visit, person = visitors(), served.people[Role.VIEWER]
    visit.sign_in(person)
    with served.store.transaction() as tx:
        tx.update("users", {"is_active": False}, where={"user_id": person.actor.user_id})
    assert visit.get("/queue").url.path == "/sign-in"
    assert served.get("/v1/cases").status_code == 401


def test_answers_carry_a_strict_policy(served: Served) -> None:
    for path in ("/sign-in", "/v1/cases", "/static/console.css", "/nowhere"):
        headers = httpx.get(served.url + path).headers
        assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in CONTENT_SECURITY_POLICY
