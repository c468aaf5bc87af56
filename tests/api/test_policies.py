"""Policies over HTTP: from draft to live by two people, and who may do what."""

import httpx
import pytest

from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.store.users import Role
from prebill.workflows.configuration_life import RULES, Step
from tests.api.conftest import Served
from tests.api.gate import gate, rows, send
from tests.api.history import invoice
from tests.workflows.lives import text

AUTHOR, OTHER = Role.CONTROLLER, Role.ADMIN
BECAUSE = {"reason": "because"}


def entered(served: Served, name: str = "next", role: Role = AUTHOR) -> int:
    made = served.post("/v1/policies", role, json={"content": text(name), "note": "why not"})
    assert 201 == made.status_code, made.text
    return int(made.json()["number"])


def step(
    served: Served, number: int, name: str, role: Role, *, seen: str = "", **body: object
) -> httpx.Response:
    tag = seen or served.get(f"/v1/policies/{number}").headers["etag"]
    return served.post(
        f"/v1/policies/{number}:{name}", role, json=BECAUSE | body, headers={"If-Match": tag}
    )


def live(served: Served, name: str) -> int:
    number = entered(served, name)
    for one, role in (("submit", AUTHOR), ("approve", OTHER), ("activate", AUTHOR)):
        answer = step(served, number, one, role)
        assert 200 == answer.status_code, answer.text
    return number


def test_from_draft_to_live_and_back(served: Served) -> None:
    first = served.get("/v1/policies").json()
    assert ([], None, "default") == (
        first["policies"],
        first["in_force"]["number"],
        first["in_force"]["name"],
    )
    number = entered(served)
    draft = served.get(f"/v1/policies/{number}", AUTHOR)
    assert '"1"' == draft.headers["etag"]
    assert ["edit", "submit", "withdraw"] == draft.json()["next_steps"]
    assert text("next") == draft.json()["content"]
    assert [] == served.get(f"/v1/policies/{number}", OTHER).json()["next_steps"]
    changed = served.send(
        "PUT",
        f"/v1/policies/{number}",
        AUTHOR,
        json={"content": text("better"), "note": ""},
        headers={"If-Match": '"1"'},
    )
    assert (200, "better", 2) == (
        changed.status_code,
        changed.json()["name"],
        changed.json()["lock_version"],
    )
    waiting = step(served, number, "submit", AUTHOR).json()
    assert ("in_review", "Controller Person") == (waiting["status"], waiting["author"])
    assert waiting["simulation"]
    refused = step(served, number, "approve", AUTHOR)
    assert (403, "forbidden") == (refused.status_code, refused.json()["code"])
    assert "Admin Person" == step(served, number, "approve", OTHER).json()["approver"]
    done = step(served, number, "activate", AUTHOR).json()
    assert ("live", ["roll-back"]) == (done["status"], done["next_steps"])
    assert done["digest"] == served.get("/v1/policies").json()["in_force"]["digest"]
    back = step(served, number, "roll-back", OTHER).json()
    assert (0, "live") == (back["number"], back["status"])
    told = served.get("/v1/policies:history", params={"number": number}).json()
    assert ["drafted", "edited", "submitted", "approved", "live", "rolled_back"] == [
        one["what"] for one in told
    ]
    assert "+name: next" in told[0]["diff"]
    assert {"-name: next", "+name: better"} <= set(told[1]["diff"].splitlines())
    assert "-name: default" in told[4]["diff"]  # what went live against what was
    assert ("", "because") == (told[2]["diff"], told[5]["reason"])


def test_activation_at_an_instant_with_its_zone(served_sqlite: Served) -> None:
    number = entered(served_sqlite)
    step(served_sqlite, number, "submit", AUTHOR)
    step(served_sqlite, number, "approve", OTHER)
    at = "2099-01-01T00:00:00"
    assert 422 == step(served_sqlite, number, "activate", OTHER, live_from_at=at).status_code
    planned = step(served_sqlite, number, "activate", OTHER, live_from_at=f"{at}+01:00").json()
    assert ("approved", "2098-12-31T23:00:00.000000Z") == (
        planned["status"],
        planned["live_from_at"],
    )
    assert served_sqlite.get("/v1/policies").json()["in_force"]["number"] is None


def test_wrong_text_names_the_key(served_sqlite: Served) -> None:
    wrong = {"content": text("x").replace("sla_hours:", "sla_hour:")}
    refused = served_sqlite.post("/v1/policies", AUTHOR, json=wrong)
    assert (422, "policy") == (refused.status_code, refused.json()["code"])
    assert "sla_hour" in refused.json()["detail"]
    assert 422 == served_sqlite.post("/v1/policies", AUTHOR, json={"content": ""}).status_code


def test_change_is_about_the_version_that_was_seen(served_sqlite: Served) -> None:
    number = entered(served_sqlite)
    path = f"/v1/policies/{number}:submit"
    assert 428 == served_sqlite.post(path, AUTHOR, json={}).status_code
    step(served_sqlite, number, "submit", AUTHOR)
    stale = step(served_sqlite, number, "approve", OTHER, seen='"1"')
    assert (412, '"2"') == (stale.status_code, stale.json()["etag"])
    assert "Controller Person did “submitted”" in stale.json()["detail"]
    step(served_sqlite, number, "send-back", OTHER)
    conflict = step(served_sqlite, number, "approve", OTHER)
    assert (409, "conflict") == (conflict.status_code, conflict.json()["code"])


def test_same_key_changes_once(served_sqlite: Served) -> None:
    body = {"content": text("once")}
    headers = {"Idempotency-Key": "k1"}
    one, two = (
        served_sqlite.post("/v1/policies", AUTHOR, json=body, headers=headers) for _ in range(2)
    )
    assert one.json() == two.json()
    assert "true" == two.headers["idempotency-replayed"]
    assert 1 == len(served_sqlite.get("/v1/policies").json()["policies"])


@pytest.mark.parametrize("name", [one.value for one in Step if one is not Step.EDIT])
@pytest.mark.parametrize("role", list(Role))
def test_every_step_for_every_role(served_once: Served, name: str, role: Role) -> None:
    """On what does not exist: whoever may gets 404, the others 403."""
    answer = served_once.post(
        f"/v1/policies/99:{name}", role, json=BECAUSE, headers={"If-Match": '"1"'}
    )
    allowed = role >= RULES[Step(name)].role
    assert (404 if allowed else 403) == answer.status_code


def test_hook_meets_a_new_policy_at_once(
    sqlite_store: Store, settings: Settings, lake: Lake
) -> None:
    with gate(sqlite_store, settings, lake) as served:

        def judged_by(customer: int) -> str:
            draft = invoice(customer, 12)
            send(served, draft)
            (row,) = rows(
                served,
                "SELECT policy_hash FROM decisions WHERE draft_id = :id",
                id=draft["invoice_id"],
            )
            return str(row["policy_hash"])

        default = judged_by(7)
        number = live(served, "now")
        digest = served.get(f"/v1/policies/{number}").json()["digest"]
        assert digest == judged_by(8)
        step(served, number, "roll-back", OTHER)
        assert default == judged_by(9)
