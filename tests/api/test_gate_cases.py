"""Held drafts of another engine: a case, a verdict, word to the engine; never a number."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from typer.testing import CliRunner

from prebill.bootstrap import Installation, policy_text
from prebill.cli import app
from prebill.core.errors import ConflictError, InputError
from prebill.core.policy.model import Policy
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.store.metrics import metrics_of
from prebill.store.users import Role
from prebill.workflows.deliver import deliver_due
from prebill.workflows.gate_cases import Origin
from prebill.workflows.replay import replay
from tests.api.conftest import Served
from tests.api.gate import RIGHT, WRONG, decide, gate, rows, send, sent
from tests.api.history import invoice, line_of
from tests.workflows.world import FINAL_AT

CLEAN, TENFOLD = invoice(7, 12), invoice(8, 12, times=10)
NAME = str(TENFOLD["invoice_id"])


@pytest.fixture
def served(store: Store, settings: Settings, lake: Lake) -> Iterator[Served]:
    """On each database engine."""
    with gate(store, settings, lake) as found:
        yield found


@pytest.fixture
def served_sqlite(sqlite_store: Store, settings: Settings, lake: Lake) -> Iterator[Served]:
    """On SQLite, for what does not depend on the engine."""
    with gate(sqlite_store, settings, lake) as found:
        yield found


def opened(served: Served, settings: Settings, lake: Lake) -> Installation:
    return Installation(settings, served.store, lake)


def cases_of(served: Served, draft_id: str = NAME) -> list[dict]:
    return rows(served, "SELECT * FROM cases WHERE draft_id = :id ORDER BY opened_at", id=draft_id)


def test_held_draft_opens_a_case_and_a_clean_one_does_not(served: Served) -> None:
    found = send(served, CLEAN, TENFOLD)
    clean, held = found[str(CLEAN["invoice_id"])], found[NAME]
    assert (clean["state"], clean["case_id"]) == ("released", None)
    assert held["state"] in {"held", "in_review"}
    case = served.get(f"/v1/cases/{held['case_id']}").json()
    assert (case["kind"], case["system"], case["status"]) == ("gate", "hook", "open")
    assert (case["action"], case["priority"]) == (held["action"], held["priority"])
    assert case["queue"] == Policy.default().queue_of([one["code"] for one in held["reasons"]])
    assert (case["customer_id"], case["total_minor"]) == (
        TENFOLD["customer_id"],
        TENFOLD["total_minor"],
    )
    assert case["period"] == "2026-10"
    assert case["reasons"] == held["reasons"]
    assert [one["amount_minor"] for one in case["lines"]] == [TENFOLD["subtotal_minor"]]
    assert cases_of(served, str(CLEAN["invoice_id"])) == []
    first = served.get("/v1/cases?search=cust-00008").json()["cases"]
    assert [one["case_id"] for one in first] == [held["case_id"]]


def test_case_decision_and_audit_entries_are_stored_together(served: Served) -> None:
    held = sent(served, TENFOLD)
    with served.store.read() as tx:
        draft = tx.get("engine_drafts", draft_id=NAME)
        entry = tx.get("audit_entries", object_id=NAME)
        changes = tx.rows(
            "SELECT object_type, to_state, entered_by FROM state_changes "
            "WHERE object_id IN (:draft, :case) ORDER BY seq",
            {"draft": NAME, "case": held["case_id"]},
        )
    assert (draft["version"], draft["sequence"]) == (held["version"], 1)
    assert json.loads(entry["detail"])["case_id"] == held["case_id"]
    controller = "user-controller"
    assert entry["actor"] == controller
    assert [tuple(one.values()) for one in changes] == [
        ("draft", held["state"], controller),
        ("case", "open", controller),
    ]


def test_decision_of_the_gate_is_derived_again(
    served: Served, settings: Settings, lake: Lake
) -> None:
    held = sent(served, TENFOLD)
    found = replay(opened(served, settings, lake), held["case_id"], from_facts=True)
    told = {check.part: check.outcome.value for check in found.checks}
    expected = {
        "draft": "left out",
        "feature row": "left out",
        "models": "same",
        "policy": "same",
        "P(error)": "same",
        "money": "same",
        "decision": "same",
        "facts": "left out",
    }
    assert expected == told


def test_same_content_is_one_case(served: Served) -> None:
    first, again = sent(served, TENFOLD), sent(served, TENFOLD)
    assert again == first
    assert len(cases_of(served)) == 1


def test_changed_draft_lapses_the_case_and_opens_another(served: Served) -> None:
    first = sent(served, TENFOLD)
    second = sent(served, invoice(8, 12, times=20))
    old, new = cases_of(served)
    assert (old["case_id"], old["status"]) == (first["case_id"], "lapsed")
    assert (new["case_id"], new["status"]) == (second["case_id"], "open")
    assert decide(served, old["case_id"], "release", RIGHT).status_code == 409
    states = rows(served, "SELECT state FROM engine_drafts ORDER BY sequence")
    assert [one["state"] for one in states] == ["superseded", second["state"]]


def test_content_that_comes_back_is_asked_again(served: Served) -> None:
    first = sent(served, TENFOLD)
    decide(served, first["case_id"], "release", RIGHT)
    assert sent(served, invoice(8, 12))["state"] == "released"
    back = sent(served, TENFOLD)
    assert back["version"] == first["version"]
    assert back["state"] in {"held", "in_review"}
    assert back["case_id"] == f"{first['case_id']}:3"
    assert decide(served, back["case_id"], "reject", WRONG).status_code == 200


def test_release_gives_no_number_but_tells_the_engine(
    served: Served, settings: Settings, lake: Lake
) -> None:
    held = sent(served, TENFOLD)
    done = decide(served, held["case_id"], "release", RIGHT).json()
    assert (done["state"], done["document_id"]) == ("released", None)
    for table in ("documents", "number_series", "journal_entries"):
        assert rows(served, f"SELECT * FROM {table}") == []
    assert sent(served, TENFOLD)["state"] == "released"  # who asks again hears of it
    assert deliver_due(opened(served, settings, lake)).delivered == 1
    (file,) = settings.delivery_dir.glob("*.json")
    message = json.loads(file.read_text(encoding="utf-8"))
    assert message["type"] == "invoice.decided"
    told = message["data"]
    assert (told["invoice_id"], told["action"]) == (NAME, "release")
    assert (told["decided_by"], told["reason"]) == ("person", "unusual_but_right")
    assert (told["version"], told["case_id"]) == (held["version"], held["case_id"])
    assert deliver_due(opened(served, settings, lake)).delivered == 0


def test_verdict_becomes_a_label(served: Served) -> None:
    held, other = sent(served, TENFOLD), sent(served, invoice(9, 12, times=10))
    decide(served, held["case_id"], "release", RIGHT)
    decide(served, other["case_id"], "reject", WRONG)
    labels = rows(served, "SELECT draft_id, is_error, reason_code, entered_by FROM labels")
    found = {one["draft_id"]: (bool(one["is_error"]), one["reason_code"]) for one in labels}
    assert found == {
        NAME: (False, "unusual_but_right"),
        "INV-202611-00009": (True, "wrong_quantity"),
    }
    assert {one["entered_by"] for one in labels} == {"user-reviewer"}


def test_rejection_needs_a_reason_and_is_decided_once(served: Served) -> None:
    held = sent(served, TENFOLD)
    assert decide(served, held["case_id"], "reject", {"reason": " "}).status_code == 422
    assert decide(served, held["case_id"], "reject", WRONG).json()["state"] == "rejected"
    assert decide(served, held["case_id"], "release", RIGHT).status_code == 409
    told = rows(served, "SELECT payload FROM outbox WHERE draft_id = :id", id=NAME)
    assert [json.loads(one["payload"])["data"]["action"] for one in told] == ["reject"]


def test_correction_is_made_in_the_engine(served_sqlite: Served) -> None:
    held = sent(served_sqlite, TENFOLD)
    body = {"reason": "wrong_quantity", "correction": {"kind": "usage_quantity"}}
    answer = decide(served_sqlite, held["case_id"], "correct", body)
    assert answer.status_code == 422
    assert "correct it in the engine" in answer.json()["detail"]
    assert cases_of(served_sqlite)[0]["status"] == "open"


def test_terminal_answers_such_a_case(
    served_sqlite: Served, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = sent(served_sqlite, TENFOLD)
    monkeypatch.setenv("PREBILL_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("PREBILL_TOKEN", served_sqlite.people[Role.REVIEWER].token)
    listed = CliRunner().invoke(app, ["cases"])
    assert held["case_id"] in listed.output
    shown = CliRunner().invoke(app, ["cases", "show", held["case_id"]])
    assert "seats" in shown.output
    arguments = ["correct", held["case_id"], "--reason", "x", "--kind", "phase"]
    assert isinstance(CliRunner().invoke(app, arguments).exception, InputError)
    done = CliRunner().invoke(app, ["reject", held["case_id"], "--reason", "duplicate"])
    assert "rejected, decided by Reviewer Person" in done.output


def test_a_draft_belongs_to_the_engine_that_sent_it_first(
    served_sqlite: Served, settings: Settings, lake: Lake
) -> None:
    sent(served_sqlite, TENFOLD)
    from prebill.api.context import Services

    services = Services(opened(served_sqlite, settings, lake))
    given = {"invoices": [TENFOLD], "invoice_lines": [line_of(TENFOLD)]}
    controller = served_sqlite.people[Role.CONTROLLER].actor
    with pytest.raises(ConflictError, match="came from hook"):
        services.hook.score(services.catalog, given, controller, Origin("other", ("files",)))


def test_many_versions_at_once_leave_one_that_counts(served: Served) -> None:
    versions = [invoice(8, 12, times=times) for times in range(10, 22)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda one: sent(served, one), [*versions, *versions]))
    assert len({one["version"] for one in answers}) == len(versions)
    live = rows(served, "SELECT version FROM engine_drafts WHERE state <> 'superseded'")
    open_now = [one for one in cases_of(served) if one["status"] == "open"]
    assert len(live) == 1
    assert [one["draft_version"] for one in open_now] == [live[0]["version"]]
    sequences = rows(served, "SELECT max(sequence) AS last FROM engine_drafts")
    assert sequences[0]["last"] >= len(versions)


def test_a_verdict_and_a_new_version_at_once_end_in_order(served: Served) -> None:
    for number in range(10, 16):
        name = f"INV-202611-{number:05}"
        held = sent(served, invoice(number, 12, times=10))
        with ThreadPoolExecutor(2) as pool:
            verdict = pool.submit(decide, served, held["case_id"], "release", RIGHT)
            changed = pool.submit(sent, served, invoice(number, 12, times=30))
        assert verdict.result().status_code in {200, 409, 412}
        assert changed.result()["state"] in {"held", "in_review"}
        old, new = cases_of(served, name)
        assert old["status"] == ("released" if verdict.result().is_success else "lapsed")
        assert new["status"] == "open"
        left = rows(served, "SELECT status FROM outbox WHERE draft_id = :id", id=name)
        assert {one["status"] for one in left} <= {"lapsed"}


def test_waiting_drafts_of_other_engines_are_measured(served: Served) -> None:
    before = metrics_of(served.store, None, now_at=FINAL_AT).open_cases
    held = sent(served, TENFOLD)
    after = metrics_of(served.store, "2026-10", now_at=FINAL_AT)
    assert after.open_cases == before + 1
    assert after.money_held_days_minor["EUR"] != 0
    decide(served, held["case_id"], "reject", WRONG)
    assert metrics_of(served.store, None, now_at=FINAL_AT).open_cases == before


# ── The random sample of what is released ────────────────────────────────────────────────────


@pytest.fixture
def sampling(store: Store, settings: Settings, lake: Lake) -> Iterator[Served]:
    """Everything that is released is looked at, under a policy of its own."""
    text = policy_text(None).replace("  share: 0.005\n", "  share: 1.0\n")
    path = settings.home / "sampling.yaml"
    path.write_text(re.sub(r"strata:\n(    - .*\n)+", "strata: []\n", text), encoding="utf-8")
    with gate(store, settings.model_copy(update={"policy_path": path}), lake) as found:
        yield found


def test_sampled_draft_is_released_and_looked_at_blind(sampling: Served) -> None:
    name = str(CLEAN["invoice_id"])
    answer = sent(sampling, CLEAN)
    assert (answer["action"], answer["state"], answer["case_id"]) == ("release", "released", None)
    assert sent(sampling, CLEAN) == answer
    (case,) = cases_of(sampling, name)
    assert (case["kind"], case["queue"], case["action"]) == ("sample", "sample", "release")
    listed = sampling.get("/v1/cases?queue=sample").json()["cases"]
    assert [case["case_id"]] == [one["case_id"] for one in listed]
    shown = sampling.get(f"/v1/cases/{case['case_id']}").json()
    assert (shown["p_error"], shown["reasons"], shown["findings"]) == (None, [], [])
    assert (shown["customer_id"], shown["system"]) == (CLEAN["customer_id"], "hook")
    assert len(shown["lines"]) == 1
    told = rows(sampling, "SELECT * FROM outbox WHERE draft_id = :id", id=name)
    done = decide(sampling, case["case_id"], "reject", WRONG)
    assert done.json()["state"] == "released"
    assert told == rows(sampling, "SELECT * FROM outbox WHERE draft_id = :id", id=name)
    (label,) = rows(sampling, "SELECT * FROM labels WHERE draft_id = :id", id=name)
    assert (label["source"], label["propensity"]) == ("sample", 1.0)
    assert (bool(label["is_error"]), bool(label["was_shown"])) == (True, False)
    text = sampling.get("/metrics").text
    assert 'prebill_released_error_share{bound="value"} 1.0' in text


def test_sampled_draft_that_the_engine_changes_is_not_asked_about(sampling: Served) -> None:
    name = str(CLEAN["invoice_id"])
    sent(sampling, CLEAN)
    changed = {**CLEAN, "due_on": "2027-01-31"}
    assert sent(sampling, changed)["action"] in {"release", "review", "hold"}
    first = cases_of(sampling, name)[0]
    assert first["status"] == "lapsed"
