"""Reading cases over HTTP."""

from prebill.store.users import Role
from tests.api.builders import add_waiting
from tests.api.conftest import Served


def test_list_comes_by_priority(served: Served) -> None:
    found = served.get("/v1/cases").json()["cases"]
    assert list(served.case_ids) == [one["case_id"] for one in found]
    assert found[0]["reasons"][0]["code"] == "price_differs_from_contract"


def test_cursor_pages_show_every_case_once(served: Served) -> None:
    with served.store.transaction() as tx:
        added = [add_waiting(tx, number, priority=4.0) for number in range(3, 8)]
        added.append(add_waiting(tx, 9, priority=None))
    seen, cursor = [], ""
    while cursor is not None:
        page = served.get(f"/v1/cases?limit=2&cursor={cursor}").json()
        seen += [one["case_id"] for one in page["cases"]]
        cursor = page["next_cursor"]
    assert [*served.case_ids, *added] == seen


def test_damaged_cursor_is_a_problem(served: Served) -> None:
    answer = served.get("/v1/cases?cursor=nonsense")
    assert (answer.status_code, answer.json()["code"]) == (422, "input")
    assert answer.headers["content-type"] == "application/problem+json"


def test_search_takes_wildcards_literally(served: Served) -> None:
    assert served.get("/v1/cases?search=%25").json()["cases"] == []
    found = served.get("/v1/cases?search=customer 2").json()["cases"]
    assert [served.case_ids[1]] == [one["case_id"] for one in found]


def test_case_carries_lines_findings_and_its_version(served: Served) -> None:
    answer = served.get(f"/v1/cases/{served.case_ids[0]}")
    assert answer.headers["etag"] == '"1"'
    body = answer.json()
    assert [one["amount_minor"] for one in body["lines"]] == [17_500, 24_100]
    assert body["findings"][0]["amount_minor"] == 5_000


def test_unknown_case_is_not_found(served: Served) -> None:
    answer = served.get("/v1/cases/case:none")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_metrics_count_open_cases(served: Served) -> None:
    assert 'prebill_cases{state="open"} 2.0' in served.get("/metrics").text


def test_probes_answer_strangers(served: Served) -> None:
    assert served.get("/healthz", None).status_code == 200
    assert served.get("/readyz", None).status_code == 200


def test_openapi_is_for_signed_in_users(served: Served) -> None:
    assert served.get("/v1/openapi.json", None).status_code == 401
    assert "/v1/cases" in served.get("/v1/openapi.json", Role.VIEWER).json()["paths"]


def test_case_proposes_terms_and_the_first_step(served: Served) -> None:
    slow = {"p_late": 0.9, "days_late_p50": 12.0, "days_late_p90": 30.0}
    with served.store.transaction() as tx:
        draft_id = tx.get("cases", case_id=served.case_ids[0])["draft_id"]
        tx.update("decisions", slow, where={"draft_id": draft_id})
        tx.update("drafts", {"payment_terms_days": 30}, where={"draft_id": draft_id})
    body = served.get(f"/v1/cases/{served.case_ids[0]}").json()
    expected = {
        "terms": "shorter_terms",
        "terms_text": "agree on 18 days instead of 30 next time: 90.0 % likely late, "
        "12 days at the median",
        "step": "notice_before_due",
        "step_text": "notice 5 days before the due date",
        "step_days": -5,
        "step_on": None,  # it has no issue date yet
        "expected_on": None,
    }
    assert expected == body["proposal"]
