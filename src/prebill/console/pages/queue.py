"""The queue: open cases by money, totals per currency, filters, pages by cursor."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from prebill.api.cursor import decode_cursor, encode_cursor
from prebill.console import words
from prebill.console.links import case_href
from prebill.console.sessions import Visitor
from prebill.console.views import CurrencyTotal, Option, QueuePage, QueueRow, Viewer
from prebill.core.scoring.labels import SAMPLE
from prebill.store.codec import instant_text
from prebill.store.console import FREE, CaseFilter, Cursor, list_cases, queue_totals
from prebill.store.engine import Tx
from prebill.store.handling import ESCALATED
from prebill.store.users import Role

PAGE_ROWS = 50
#: What stands where other cases have their reason: who looks must not be led by a score.
SAMPLE_TEXT = "Released; drawn at random, to learn what nobody looks at"


def viewer_of(visitor: Visitor) -> Viewer:
    """What every page shows of the person who looks."""
    actor = visitor.actor
    may_decide = actor.role >= Role.REVIEWER
    role, alerts = actor.role.name.lower(), visitor.open_alerts
    return Viewer(actor.name, role, may_decide, visitor.csrf_token, alerts)


def queue_page(tx: Tx, visitor: Visitor, query: Mapping[str, str], *, now: datetime) -> QueuePage:
    """Read one page of the queue."""
    which = CaseFilter(
        action=query.get("action", ""),
        currency=query.get("currency", ""),
        queue=query.get("queue", ""),
        search=query.get("search", "").strip(),
        owner=_OWNERS.get(query.get("owner", ""), "").format(me=visitor.actor.user_id),
        pause="yes" if query.get("owner") == _PAUSED else "no",
        asked=visitor.actor.user_id if query.get("owner") == _ASKED else "",
    )
    after = query.get("after", "")
    rows = list_cases(tx, which, after=decode_cursor(after), limit=PAGE_ROWS + 1)
    every = queue_totals(tx, CaseFilter())
    totals = queue_totals(tx, which) if which.is_narrowed else every
    return QueuePage(
        title="Queue",
        viewer=viewer_of(visitor),
        summary=_summary(totals),
        totals=_totals(totals),
        search=which.search,
        actions=_options(["hold", "review", "release"], which.action, "All"),
        currencies=_options([row["currency"] for row in every], which.currency, "All"),
        queues=_options([row["queue"] for row in every], which.queue, "All"),
        owners=_owners(query.get("owner", "")),
        is_filtered=which.is_narrowed,
        rows=tuple(_row(row, visitor, instant_text(now)) for row in rows[:PAGE_ROWS]),
        first_href=_href(query) if after else "",
        next_href=_next_href(query, rows) if len(rows) > PAGE_ROWS else "",
        notice=query.get("notice", "")[:200] if query.get("notice") in NOTICES else "",
    )


#: Sentences that a redirect may show; nothing else of the address is ever printed as one.
NOTICES = frozenset({"Password changed.", "Nothing waits that nobody else works on."})
#: What the address says → what the store filters by.
_OWNERS = {"": "", "me": "{me}", "nobody": FREE}
#: What is off the queue: sleeping or waiting for an answer; and for mine.
_PAUSED, _ASKED = "paused", "asked"


def _owners(chosen: str) -> tuple[Option, ...]:
    named = {"": "All", "me": "Mine", "nobody": "Nobody's"}
    named |= {_ASKED: "Asked of me", _PAUSED: "Sleeping or asked"}
    return tuple(Option(value, label, value == chosen) for value, label in named.items())


def _summary(totals: list[dict[str, Any]]) -> str:
    cases = sum(row["cases"] for row in totals)
    if not cases:
        return "No case waits."
    holds, sampled = _counted(totals, "hold"), _counted(totals, "release")
    looked = f" {sampled:,} released invoices to look at, nothing waits for them." * bool(sampled)
    decided = f"{words.counted(cases - sampled, 'case')} to decide, {holds:,} of them held."
    return f"{decided} The money first.{looked}"


def _counted(totals: list[dict[str, Any]], action: str) -> int:
    return sum(row["cases"] for row in totals if row["action"] == action)


def _totals(rows: list[dict[str, Any]]) -> tuple[CurrencyTotal, ...]:
    """One card a currency: two currencies never meet in a sum."""
    currencies = sorted({row["currency"] for row in rows})
    return tuple(
        _total(currency, [row for row in rows if row["currency"] == currency])
        for currency in currencies
    )


def _total(currency: str, rows: list[dict[str, Any]]) -> CurrencyTotal:
    holds, reviews = _counted(rows, "hold"), _counted(rows, "review")
    loss_minor = sum(int(row["expected_loss_minor"]) for row in rows)
    return CurrencyTotal(
        currency=currency,
        cases=words.counted(holds + reviews, "case"),
        holds=f"{holds:,} held",
        reviews=f"{reviews:,} to review",
        expected_loss=words.money(loss_minor, currency),
    )


def _row(row: dict[str, Any], visitor: Visitor, now_text: str) -> QueueRow:
    currency = row["currency"]
    is_mine = row["owner_id"] == visitor.actor.user_id
    return QueueRow(
        href=case_href(row["case_id"]),
        action=SAMPLE if row["kind"] == SAMPLE else row["action"],
        customer=row["customer_name"] or row["customer_id"] or row["draft_id"],
        draft_id=row["draft_id"],
        period=words.month(row["period"]) if row["period"] else row["kind"],
        drafted_by=words.engine_name(row["system"]),
        reason=reason_of(row),
        billed=words.money(row["total_minor"], currency),
        expected_loss=words.money(row["expected_loss_minor"], currency),
        likely_wrong=words.percent(row["p_error"]),
        due=words.day(row["due_at"][:10]),
        is_late=row["due_at"] < now_text,
        priority="–" if row["priority"] is None else f"{row['priority']:,.2f}",
        priority_parts=_parts(row),
        owner="you" if is_mine else row["owner"] or row["owner_id"] or "",
        state=_state(row),
    )


def _parts(row: dict[str, Any]) -> str:
    """How a priority came about."""
    if row["worth"] is None:
        return "Nothing waits for it"
    loss = words.money(row["expected_loss_minor"], row["currency"])
    times = f", times {row['urgency']:g}: its deadline is near" if row["urgency"] > 1 else ""
    return f"{loss} expected loss, {row['worth']:,.2f} a reviewer minute{times}"


def _state(row: dict[str, Any]) -> str:
    """Why a case is off the queue, or that it was escalated."""
    if row["pause"] == "question":
        return f"asked {row['asked'] or row['asked_id']}"
    if row["pause"] == "snooze":
        return f"sleeps until {words.instant(row['paused_until'])}"
    return ESCALATED if row["queue"] == ESCALATED else ""


def reason_of(case: dict[str, Any]) -> str:
    """Why somebody should look."""
    return SAMPLE_TEXT if case["kind"] == SAMPLE else top_reason(case["reasons"])


def top_reason(reasons: str | None) -> str:
    """Return the text of the reason with the most money."""
    found = json.loads(reasons or "[]")
    if not found:
        return "No reason was recorded"
    return str(max(found, key=lambda one: abs(one.get("amount_minor") or 0))["text"])


def _options(values: list[str], chosen: str, every: str) -> tuple[Option, ...]:
    listed = sorted({*values, chosen} - {""})
    return (
        Option("", every, not chosen),
        *(
            Option(value, value.capitalize() if value.islower() else value, value == chosen)
            for value in listed
        ),
    )


def _href(query: Mapping[str, str], after: str = "") -> str:
    kept = ("search", "action", "currency", "queue", "owner")
    given = {name: query.get(name, "").strip() for name in kept} | {"after": after}
    chosen = urlencode({name: value for name, value in given.items() if value})
    return f"/queue?{chosen}" if chosen else "/queue"


def _next_href(query: Mapping[str, str], rows: list[dict[str, Any]]) -> str:
    last = rows[PAGE_ROWS - 1]
    return _href(query, encode_cursor(Cursor(last["priority"], last["case_id"])))
