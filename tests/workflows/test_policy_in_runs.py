"""A run under a policy that only observes, has classes, snoozes a rule, or breaks."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
import yaml

from prebill import audit
from prebill.bootstrap import Installation
from prebill.core.errors import ConflictError, InputError, NotFoundError
from prebill.store.incidents import incidents, not_in_effect
from prebill.store.snoozes import snoozes
from prebill.workflows import policy_upkeep, replay
from tests.workflows import world

#: Accounts whose contract was changed and whose subscription was not: each draft differs from it.
WRONG = (2, 3)
BERLIN = {"time_zone": "Europe/Berlin", "days": ["mon", "tue", "wed", "thu", "fri"]}


@pytest.fixture
def opened(database_url: str, home: Path) -> Installation:
    installation = world.install(database_url, home, accounts=6, events=300)
    for account in WRONG:
        world.amend(installation, account, quantity=Decimal(99))
    return installation


def under(opened: Installation, **sections: object) -> Installation:
    """The same installation under another policy."""
    path = opened.settings.policy_path
    assert path is not None
    document = {**yaml.safe_load(path.read_text(encoding="utf-8")), **sections}
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return opened


def decisions(opened: Installation) -> list[dict]:
    return world.rows(
        opened,
        "SELECT j.action, j.proposed_action, j.rules, j.policy_class, j.draft_id, d.customer_id "
        "FROM decisions j JOIN drafts d ON d.draft_id = j.draft_id AND d.version = j.draft_version "
        "WHERE d.state NOT IN ('superseded', 'lapsed') ORDER BY j.draft_id",
    )


def wrong_customers(opened: Installation) -> list[str]:
    rows = world.rows(opened, "SELECT customer_id FROM customers ORDER BY customer_id")
    return [str(rows[account]["customer_id"]) for account in WRONG]


def stopped(opened: Installation) -> list[dict]:
    return [row for row in decisions(opened) if row["proposed_action"] != "release"]


def states(opened: Installation) -> dict[str, int]:
    rows = world.rows(opened, "SELECT state, count(*) AS n FROM drafts GROUP BY state")
    return {row["state"]: row["n"] for row in rows}


@pytest.mark.parametrize(
    ("mode", "action", "state"),
    [
        ("observe", "release", "issued"),
        ("advise", "review", "in_review"),
        ("enforce", "hold", "held"),
    ],
)
def test_mode_decides_what_becomes_of_a_draft_and_the_proposal_is_kept(
    opened: Installation, mode: str, action: str, state: str
) -> None:
    world.run(under(opened, mode=mode))
    found = stopped(opened)
    assert {("hold", action, "exact-hold", "default")} == {
        (row["proposed_action"], row["action"], row["rules"], row["policy_class"]) for row in found
    }
    assert len(WRONG) == len(found)
    counted = states(opened)
    assert 6 - len(WRONG) * (state != "issued") == counted["issued"]
    assert len(WRONG) <= counted[state]
    cases = world.rows(opened, "SELECT action FROM cases WHERE kind = 'draft'")
    assert ([] if mode == "observe" else [action] * 2) == [row["action"] for row in cases]
    (run,) = world.rows(opened, "SELECT run_id FROM runs")
    with opened.store.read() as tx:
        passed = not_in_effect(tx, run["run_id"])
    assert ({} if mode == "enforce" else {"hold": 2}) == passed
    # Stored scores and findings lead to the same under the same mode.
    again = replay.replay(opened, found[0]["draft_id"])
    assert again.is_same, again.checks
    assert not [one for one in again.checks if one.part == "decision" and "asks" in one.text]


def test_decision_of_an_older_program_is_replayed_without_what_it_did_not_keep(
    opened: Installation,
) -> None:
    world.run(opened)
    draft_id = stopped(opened)[0]["draft_id"]
    with opened.store.transaction() as tx:
        tx.execute("UPDATE decisions SET proposed_action = NULL, rules = NULL, policy_class = NULL")
    again = replay.replay(opened, draft_id, from_facts=True)
    assert again.is_same, again.checks


def test_class_of_a_customer_has_its_own_rules_queue_and_deadline(opened: Installation) -> None:
    first, other = wrong_customers(opened)
    segment = world.rows(opened, f"SELECT segment FROM customers WHERE customer_id = '{first}'")[0][
        "segment"
    ]
    with opened.store.transaction() as tx:
        tx.execute(f"UPDATE customers SET segment = 'rare' WHERE customer_id = '{first}'")
        tx.execute(
            f"UPDATE customers SET segment = '{segment or 'usual'}' WHERE customer_id <> '{first}'"
        )
    under(
        opened,
        classes=[
            {
                "name": "rare",
                "when": {"segment": "rare"},
                "rules": {"exact-hold": {"action": "review"}},
                "queue": "key-accounts",
                "calendar": "office",
                "sla_hours": {"review": 3, "hold": 1},
                "review_minutes": 60,
            }
        ],
        calendars={"office": {**BERLIN, "from": "09:00", "to": "17:00"}},
    )
    world.run(opened)
    found = {row["customer_id"]: row for row in decisions(opened)}
    assert ("rare", "review") == (found[first]["policy_class"], found[first]["action"])
    assert ("default", "hold") == (found[other]["policy_class"], found[other]["action"])
    cases = {
        row["draft_id"]: row
        for row in world.rows(opened, "SELECT * FROM cases WHERE kind = 'draft'")
    }
    rare, usual = (cases[found[name]["draft_id"]] for name in (first, other))
    assert ("key-accounts", "contracts") == (rare["queue"], usual["queue"])
    opened_at, due_at = (
        datetime.fromisoformat(rare[name]).astimezone(UTC) for name in ("opened_at", "due_at")
    )
    calendar = opened.load_policy().calendars["office"]
    expected = calendar.due_at(pl.Series([opened_at]), pl.Series([3.0]))[0]
    assert abs(expected - due_at) < timedelta(seconds=1)
    plain = datetime.fromisoformat(usual["due_at"]) - datetime.fromisoformat(usual["opened_at"])
    assert timedelta(hours=8) == plain
    # A replay from facts asks what classes ask; from what is stored it says that it can't.
    again = replay.replay(opened, found[first]["draft_id"], from_facts=True)
    assert again.is_same, again.checks
    assert any("asks what is not stored" in one.text for one in again.checks)


def test_snoozed_rule_lets_one_customer_pass_and_says_so(opened: Installation) -> None:
    first, other = wrong_customers(opened)
    until_at = datetime.now(UTC) + timedelta(days=30)
    made = policy_upkeep.snooze(
        opened, "exact-hold", first, until_at=until_at, reason="agreed by mail", by="ann"
    )
    world.run(opened)
    found = {row["customer_id"]: row for row in decisions(opened)}
    assert ("release", "snoozed:exact-hold") == (found[first]["action"], found[first]["rules"])
    assert ("hold", "exact-hold") == (found[other]["action"], found[other]["rules"])
    policy_upkeep.end_snooze(opened, made, "bob")
    with opened.store.read() as tx:
        assert [] == snoozes(tx, datetime.now(UTC))
        (kept,) = snoozes(tx, datetime.now(UTC), past=True)
        entries = tx.rows(
            "SELECT action, actor FROM audit_entries WHERE object_id = :id", {"id": made}
        )
    assert ("agreed by mail", "bob") == (kept["reason"], kept["ended_by"])
    assert {("rule.snoozed", "ann"), ("rule.snooze_ended", "bob")} == {
        (one["action"], one["actor"]) for one in entries
    }
    # The run is computed as of its start: ending the snooze later changes nothing of it.
    assert replay.replay(opened, found[first]["draft_id"], from_facts=True).is_same


def test_snooze_is_refused_in_words(opened: Installation) -> None:
    now = datetime.now(UTC)

    def snooze(rule: str = "exact-hold", days: int = 3, reason: str = "r") -> str:
        until_at = now + timedelta(days=days)
        return policy_upkeep.snooze(opened, rule, "C1", until_at=until_at, reason=reason, by="ann")

    for wrong, said in (
        ({"rule": "nope"}, "has no rule"),
        ({"days": -1}, "ends after now"),
        ({"days": 400}, "within 366 days"),
        ({"reason": " "}, "a reason"),
    ):
        with pytest.raises(InputError, match=said):
            snooze(**wrong)  # type: ignore[arg-type]
    first = snooze()
    with pytest.raises(ConflictError):
        snooze()
    policy_upkeep.end_snooze(opened, first, "ann")
    with pytest.raises(NotFoundError):
        policy_upkeep.end_snooze(opened, first, "ann")
    assert first != snooze()
    with opened.store.transaction() as tx:  # one that is over by itself makes way for the next
        tx.execute("UPDATE snoozes SET until_at = '2020-01-01' WHERE ended_at IS NULL")
    assert snooze()


def test_run_that_stops_too_much_opens_one_incident_with_its_cause(opened: Installation) -> None:
    under(opened, breaker={"stopped_share": 0.2, "least_drafts": 6})
    world.run(opened)
    with opened.store.read() as tx:
        (found,) = incidents(tx)
    assert (6, 2, "rule", "exact-hold", 2, 0) == tuple(
        found[name]
        for name in ("drafts", "stopped", "cause_kind", "cause", "stopped_with", "others_with")
    )
    assert 2 == states(opened)["held"]  # what is held stays held
    policy_upkeep.close_incident(opened, found["run_id"], "the change order came late", "ann")
    with opened.store.read() as tx:
        assert [] == incidents(tx)
        assert ["ann"] == [row["closed_by"] for row in incidents(tx, closed=True)]
    with pytest.raises(NotFoundError):
        policy_upkeep.close_incident(opened, found["run_id"], "again", "ann")
    assert audit.verify(opened.store).is_intact


def test_run_within_its_limit_opens_none(opened: Installation) -> None:
    under(opened, breaker={"stopped_share": 0.4, "least_drafts": 6})
    world.run(opened)
    with opened.store.read() as tx:
        assert [] == incidents(tx, closed=True)


def test_rule_over_plans_and_terms_judges_in_a_run(opened: Installation) -> None:
    """Plans, discounts and contract changes are known where Prebill itself drafted."""
    terms = {"id": "terms", "kind": "nonstandard_terms", "payment_days": [1], "action": "review"}
    changed = {"id": "changed", "kind": "contract_change_unseen", "action": "review"}
    under(
        opened,
        rules=[
            {**terms, "max_discount_percent": 100},
            {**changed, "over": {"default": 0}},
        ],
    )
    world.run(opened)
    rows = decisions(opened)
    assert all("terms" in row["rules"].split(",") for row in rows)
    assert not any("could-not-judge" in row["rules"] for row in rows)
