"""Cases with one cause: all causes, and one with its sample, its decision and its members."""

from datetime import datetime
from typing import Any, Final

from prebill.api.reasons import ERROR_REASONS, RELEASE_REASONS
from prebill.console import words
from prebill.console.links import case_href, group_href
from prebill.console.pages.queue import viewer_of
from prebill.console.sessions import Visitor
from prebill.console.triage_views import GroupOutcome, GroupPage, GroupRow, GroupsPage, MemberRow
from prebill.console.views import Fact, Option
from prebill.core.errors import NotFoundError
from prebill.core.triage.causes import parts_of
from prebill.store import grouping
from prebill.store.codec import instant_text
from prebill.store.engine import Tx
from prebill.workflows.grouping import Sampled, sampled

SHOWN: Final = 200
_NOTICES: Final = {"decided": "Written down. The cases are decided one after the other."}


def groups_page(tx: Tx, visitor: Visitor, now_at: datetime) -> GroupsPage:
    """Read every cause that several open cases have."""
    groups = grouping.groups_of(grouping.list_groups(tx))
    now = instant_text(now_at)
    rows = tuple(_row(cause, rows, now) for cause, rows in groups.items())
    return GroupsPage("Groups", viewer_of(visitor), rows)


def title_of(cause: str) -> str:
    """Write a cause as words.

    Examples
    --------
    >>> title_of("2026-10:price_differs_from_contract:standard-eur-v2")
    'Price differs from contract, standard-eur-v2, Oct 2026'
    """
    period, code, what = parts_of(cause)
    phrase = words.phrase(code)
    parts = [f"{phrase[:1].upper()}{phrase[1:]}", what, words.month(period)]
    return ", ".join(part for part in parts if part)


def _row(cause: str, rows: list[dict[str, Any]], now: str) -> GroupRow:
    due = min(row["due_at"] for row in rows)
    return GroupRow(
        href=group_href(cause),
        title=title_of(cause),
        cases=f"{rows[0]['in_all']:,}",
        expected_loss=_losses(rows),
        due=words.day(due[:10]),
        is_late=due < now,
        priority=f"{rows[0]['priority']:,.2f}",
    )


def _losses(rows: list[dict[str, Any]]) -> str:
    """One line a currency: two currencies never meet in a sum."""
    return "\n".join(words.money(row["expected_loss_minor"], row["currency"]) for row in rows)


def group_page(
    tx: Tx, visitor: Visitor, cause: str, *, told: str = "", problem: str = ""
) -> GroupPage:
    """Read one cause.

    Raises
    ------
    NotFoundError
        No case ever had it.
    """
    every = grouping.judged_members(tx, cause)
    decisions = grouping.decisions_on(tx, cause)
    if not every and not decisions:
        message = f"no case has the cause {cause}: it may have been corrected; look at the groups"
        raise NotFoundError(message, cause=cause)
    found = sampled(tx, cause)
    verdicts = {one["case_id"]: one["verdict"] for one in every}
    waiting = [one for one in every if one["status"] == "open"]
    outcomes = tuple(_outcome(tx, one) for one in decisions)
    return GroupPage(
        title=title_of(cause),
        viewer=viewer_of(visitor),
        summary=f"{words.counted(len(waiting), 'case')} of this cause wait.",
        path=group_href(cause),
        notice=_NOTICES.get(told, ""),
        problem=problem,
        sample=tuple(
            MemberRow(case_href(one), one, _FOUND.get(verdicts[one] or "", ""))
            for one in (found.case_ids if waiting else ())
        ),
        sample_summary=_sample_summary(found),
        may_release=bool(waiting) and found.supports("release"),
        may_reject=bool(waiting) and found.supports("reject"),
        release_reasons=_options(RELEASE_REASONS),
        error_reasons=_options(ERROR_REASONS),
        members=tuple(
            MemberRow(
                case_href(one["case_id"]),
                one["case_id"],
                "sampled" if one["case_id"] in found.case_ids else "",
            )
            for one in waiting[:SHOWN]
        ),
        more_members=f"And {len(waiting) - SHOWN:,} more." if len(waiting) > SHOWN else "",
        outcomes=outcomes,
        is_running=any(one.is_running for one in outcomes),
    )


_FOUND: Final = {"release": "right", "correct": "wrong, corrected", "reject": "wrong, rejected"}


def _sample_summary(found: Sampled) -> str:
    drawn, done = len(found.case_ids), len(found.verdicts)
    if done < drawn:
        return (
            f"{done} of {drawn} are decided. They were drawn at random: once all are, and were "
            "found alike, the rest can follow."
        )
    wrong = sum(one != "release" for one in found.verdicts)
    if 0 < wrong < drawn:
        return f"{wrong} of {drawn} were wrong: the rest is not alike and is decided one by one."
    return f"All {drawn} were found to be {'wrong' if wrong else 'right'}."


def _outcome(tx: Tx, decision: dict[str, Any]) -> GroupOutcome:
    state = grouping.progress(tx, decision["decision_id"])
    verb = {"release": "Released", "reject": "Rejected"}[decision["verdict"]]
    who, at = decision["author"] or decision["entered_by"], words.instant(decision["entered_at"])
    text = f"{verb} together by {who}, {at}: {state['done']:,} done"
    text += f", {state['pending']:,} to do" * bool(state["pending"])
    text += f", {state['refused']:,} left" * bool(state["refused"])
    refused = grouping.refused(tx, decision["decision_id"], limit=10)
    return GroupOutcome(
        text=f"{text}.",
        is_running=decision["status"] == "running",
        refused=tuple(
            Fact(one["case_id"], one["message"], case_href(one["case_id"])) for one in refused
        ),
    )


def _options(reasons: dict[str, str]) -> tuple[Option, ...]:
    return tuple(Option(code, label, is_chosen=False) for code, label in reasons.items())
