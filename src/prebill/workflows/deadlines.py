"""Deadlines: what is due soon counts more; what is past its deadline goes as the policy says.

Server and worker call both once a minute. Time alone never releases a hold, and a review only where
the policy names an amount; whatever else is in the way (a claim, a limit) keeps a case where it is.
"""

from datetime import datetime
from typing import Final

import polars as pl

from prebill import audit
from prebill.bootstrap import Installation
from prebill.core.errors import PrebillError
from prebill.core.triage.priority import URGENCY
from prebill.store import handling
from prebill.store.deadlines import overdue_cases, raise_urgency
from prebill.store.grouping import POLICY
from prebill.workflows import resolve
from prebill.workflows.resolve import DEADLINE_PASSED

CHUNK: Final = 500


def raise_due(opened: Installation, now_at: datetime) -> int:
    """Bring every open case to the urgency of its deadline; return how many were raised."""
    raised = 0
    for left, times in URGENCY.items():  # what is past its deadline first: it skips a step
        while True:
            with opened.store.transaction() as tx:
                count = raise_urgency(tx, now_at + left, times, CHUNK)
            raised += count
            if count < CHUNK:
                break
    return raised


def after_deadline(opened: Installation, now_at: datetime) -> dict[str, int]:
    """Do with overdue cases what the policy says; return how often what was done.

    Escalated cases stay where they are, and so does what somebody works on.
    """
    policy = opened.load_policy()
    if not policy.on_breach and not any(one.on_breach for one in policy.classes):
        return {}
    with opened.store.read() as tx:
        cases = overdue_cases(tx, now_at)
    if cases.is_empty():
        return {}
    asked = cases.with_columns(way=policy.after_deadline(cases)).filter(pl.col("way") != "keep")
    done: dict[str, int] = {}
    for case in asked.iter_rows(named=True):  # exceptions only, each in a transaction of its own
        try:
            if case["way"] == "release" and case["action"] == "review":
                _release(opened, case["case_id"], case["lock_version"])
            else:
                _escalate(opened, case["case_id"])
        except PrebillError:
            continue  # somebody was faster, works on it, or must agree
        done[case["way"]] = done.get(case["way"], 0) + 1
    return done


def _escalate(opened: Installation, case_id: str) -> None:
    with opened.store.transaction() as tx:
        case = handling.open_case(tx, case_id)
        handling.escalate(tx, case, POLICY)
        handling.end_pause(tx, case_id)
        handling.add_note(tx, case_id, "escalation", "Its deadline has passed.", POLICY)
        audit.record(tx, POLICY, "case.escalated", case_id, {"why": DEADLINE_PASSED})


def _release(opened: Installation, case_id: str, lock_version: int) -> None:
    note = "Its deadline has passed; by policy."
    resolve.release(opened, case_id, POLICY, lock_version, DEADLINE_PASSED, note=note)
