"""Reads for people: the queue, a case with all that belongs to it, runs, a document.

Every function takes an open transaction and returns rows as the tables hold them; words and money
formats are made by the console. Lists are read by key, so that page 1,000 costs what page 1 does.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final, Literal

from prebill.core.errors import NotFoundError
from prebill.core.scoring.labels import SAMPLE
from prebill.store.codec import now_text
from prebill.store.engine import Tx

Row = dict[str, Any]

MAX_LIMIT: Final = 200

_CASE_COLUMNS: Final = """
    c.case_id, c.kind, c.draft_id, c.draft_version, c.action, c.status, c.queue, c.priority,
    c.expected_loss_minor, c.currency, c.lock_version, c.opened_at, c.due_at, c.resolved_by,
    c.resolved_at, g.system, k.name AS customer_name, e.p_error, e.direction, e.reasons,
    coalesce(d.customer_id, g.customer_id) AS customer_id,
    coalesce(d.period, substr(coalesce(g.period_start_on, g.issued_on), 1, 7)) AS period,
    coalesce(d.entity_id, g.entity_id) AS entity_id,
    coalesce(d.total_minor, g.total_minor) AS total_minor,
    coalesce(d.state, g.state) AS draft_state, l.user_id AS owner_id, w.name AS owner,
    l.expires_at AS owned_until, CASE WHEN p.until_at > :now THEN p.kind END AS pause,
    CASE WHEN p.until_at > :now THEN p.until_at END AS paused_until,
    p.asked_user_id AS asked_id, a.name AS asked, e.priority AS worth,
    coalesce(y.times, 1.0) AS urgency
"""
#: A case is on a draft of ours (d), on one of another engine (g), or on a gap: on neither.
#: A case of the sample is on either; versions are digests, so that they can't be mixed up.
_DRAFT_JOINS: Final = """
    LEFT JOIN drafts d ON d.draft_id = c.draft_id AND d.version = c.draft_version
        AND c.kind IN ('draft', 'sample')
    LEFT JOIN engine_drafts g ON g.draft_id = c.draft_id AND g.version = c.draft_version
        AND c.kind IN ('gate', 'sample')
    LEFT JOIN customers k ON k.customer_id = coalesce(d.customer_id, g.customer_id)
"""
_CLAIM_JOIN: Final = "LEFT JOIN claims l ON l.case_id = c.case_id AND l.expires_at > :now"
_PAUSE_JOIN: Final = "LEFT JOIN case_pauses p ON p.case_id = c.case_id"
_IS_PAUSED: Final = "coalesce(p.until_at > :now, FALSE)"
_CASE_JOINS: Final = f"""{_DRAFT_JOINS}
    LEFT JOIN decisions e ON e.draft_id = c.draft_id AND e.draft_version = c.draft_version
    {_CLAIM_JOIN}
    LEFT JOIN users w ON w.user_id = l.user_id
    {_PAUSE_JOIN}
    LEFT JOIN users a ON a.user_id = p.asked_user_id
    LEFT JOIN case_urgencies y ON y.case_id = c.case_id
"""
#: Who works on a case, as a filter: nobody.
FREE: Final = "-"


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases; an empty text means all."""

    status: str = "open"
    action: str = ""
    currency: str = ""
    queue: str = ""
    search: str = ""
    #: User who works on it, or ``FREE``.
    owner: str = ""
    #: Of open cases: those on the queue, those that sleep or wait for an answer, or both.
    pause: Literal["no", "yes", "any"] = "no"
    #: User who was asked about it.
    asked: str = ""

    @property
    def is_narrowed(self) -> bool:
        """Whether it shows less than every case that waits in the status."""
        words = (self.action, self.currency, self.queue, self.search, self.owner, self.asked)
        return any(words) or self.pause != "no"


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last case of a page; the next page begins after it."""

    priority: float | None
    case_id: str


def list_cases(
    tx: Tx, which: CaseFilter, *, after: Cursor | None = None, limit: int = 50
) -> list[Row]:
    """Return cases by priority, the highest first, with draft, customer and decision."""
    conditions, values = _conditions(which)
    if after is not None:
        conditions.append(_after(after, values))
    values |= {"limit": min(max(limit, 1), MAX_LIMIT), "now": now_text()}
    rows = tx.rows(
        f"SELECT {_CASE_COLUMNS} FROM cases c {_CASE_JOINS} WHERE {' AND '.join(conditions)} "
        "ORDER BY c.priority DESC NULLS LAST, c.case_id LIMIT :limit",
        values,
    )
    return [_blind(_with_customer(tx, row)) for row in rows]


#: What judges said of a draft; a person who answers for the sample must not be led by it.
_RECOMMENDED: Final = (
    *("reasons", "findings_json", "p_error", "p_error_basis", "direction"),
    *("anomaly_score", "p_late", "days_late_p50", "days_late_p90", "confidence"),
)


def _blind(row: Row) -> Row:
    """A case of the sample as long as it is open: without what the judges said."""
    if row["kind"] != SAMPLE or row["status"] != "open":
        return row
    return row | {name: None for name in _RECOMMENDED if name in row}


def _with_customer(tx: Tx, row: Row) -> Row:
    """A gap has no draft to join: its id ``gap:period:customer:…`` says who and when."""
    if row["kind"] != "gap" or row["customer_id"] is not None:
        return row
    _, period, customer_id = row["draft_id"].split(":", 3)[:3]
    customer = customer_of(tx, customer_id)
    name = customer["name"] if customer else None
    return {
        **row,
        "period": period,
        "period_start_on": f"{period}-01",
        "customer_id": customer_id,
        "customer_name": name,
    }


def _after(after: Cursor, values: dict[str, object]) -> str:
    values["after_id"] = after.case_id
    if after.priority is None:
        return "(c.priority IS NULL AND c.case_id > :after_id)"
    values["after_priority"] = after.priority
    return (
        "(c.priority < :after_priority OR c.priority IS NULL "
        "OR (c.priority = :after_priority AND c.case_id > :after_id))"
    )


def _conditions(
    which: CaseFilter, *, for_totals: bool = False
) -> tuple[list[str], dict[str, object]]:
    """Conditions over cases and their joins, with values: nothing of the user enters the text."""
    # The status stands in the text, from a closed set, so that the partial index serves it.
    conditions = ["c.status = 'open'" if which.status == "open" else "c.status = :status"]
    values: dict[str, object] = {} if which.status == "open" else {"status": which.status}
    for name in ("action", "currency", "queue"):
        value = getattr(which, name)
        if value:
            # The list is read in its order: an index on the value would make it sort them all.
            column = f"c.{name}" if for_totals else f"c.{name} || ''"
            conditions.append(f"{column} = :{name}")
            values[name] = value
    if which.owner == FREE:
        conditions.append("l.user_id IS NULL")
    elif which.owner:
        conditions.append("l.user_id = :owner")
        values["owner"] = which.owner
    if which.asked:
        conditions.append("p.asked_user_id = :asked")
        values["asked"] = which.asked
    elif which.status == "open" and which.pause != "any" and not for_totals:
        conditions.append(_IS_PAUSED if which.pause == "yes" else f"NOT {_IS_PAUSED}")
    if which.search:
        literal = which.search.replace("!", "!!").replace("%", "!%").replace("_", "!_")
        conditions.append(
            "(lower(c.draft_id) LIKE :search ESCAPE '!' OR lower(k.name) LIKE :search ESCAPE '!' "
            "OR lower(coalesce(d.customer_id, g.customer_id)) LIKE :search ESCAPE '!')"
        )
        values["search"] = f"%{literal.lower()}%"
    return conditions, values


def queue_totals(tx: Tx, which: CaseFilter) -> list[Row]:
    """Return how many cases there are and their expected loss, by currency, queue and action."""
    if which.status != "open" or which.pause == "any" or which.asked:
        return _totals(tx, which)
    paused = _totals(tx, which, only_paused=True)
    if which.pause == "yes":
        return paused
    # Counting all open cases needs an index alone; the few that are paused are taken off.
    off = {_group(row): row for row in paused}
    rows = _totals(tx, which)
    for row in rows:
        less = off.get(_group(row), {})
        row["cases"] -= less.get("cases", 0)
        row["expected_loss_minor"] -= less.get("expected_loss_minor", 0)
    return [row for row in rows if row["cases"]]


def _group(row: Row) -> tuple[str, str, str]:
    return row["currency"], row["queue"], row["action"]


def _totals(tx: Tx, which: CaseFilter, *, only_paused: bool = False) -> list[Row]:
    conditions, values = _conditions(which, for_totals=True)
    if only_paused:
        conditions.append(_IS_PAUSED)
    joins = [_PAUSE_JOIN] * (only_paused or bool(which.asked))
    joins += [_DRAFT_JOINS] * bool(which.search) + [_CLAIM_JOIN] * bool(which.owner)
    if only_paused or which.owner:
        values["now"] = now_text()
    return tx.rows(
        "SELECT c.currency, c.queue, c.action, count(*) AS cases, "
        f"sum(c.expected_loss_minor) AS expected_loss_minor FROM cases c {' '.join(joins)} "
        f"WHERE {' AND '.join(conditions)} "
        "GROUP BY c.currency, c.queue, c.action ORDER BY c.currency, c.queue, c.action",
        values,
    )


def find_case(tx: Tx, case_id: str) -> Row:
    """Return one case with draft, customer and decision.

    Raises
    ------
    NotFoundError
        There is no such case.
    """
    row = tx.first(
        f"SELECT {_CASE_COLUMNS}, e.p_error_basis, e.p_late, e.days_late_p50, e.days_late_p90, "
        "e.confidence, e.anomaly_score, e.findings_json, e.policy_hash, e.model_versions, "
        "d.contract_id, d.subscription_id, d.payment_terms_days, "
        "coalesce(g.issued_on, o.issued_on) AS issued_on, coalesce(g.due_on, o.due_on) AS due_on, "
        "coalesce(d.lines_json, g.lines_json) AS lines_json, "
        "coalesce(d.subtotal_minor, g.subtotal_minor) AS subtotal_minor, "
        "coalesce(d.tax_minor, g.tax_minor) AS tax_minor, "
        "coalesce(d.period_start_on, g.period_start_on, g.issued_on) AS period_start_on, "
        "coalesce(d.period_end_on, g.period_end_on) AS period_end_on "
        f"FROM cases c {_CASE_JOINS} "
        "LEFT JOIN documents o ON o.draft_id = d.draft_id AND o.draft_version = d.version "
        "WHERE c.case_id = :case_id",
        {"case_id": case_id, "now": now_text()},
    )
    if row is None:
        message = f"there is no case {case_id}: it may have been replaced; look in the queue"
        raise NotFoundError(message, case_id=case_id)
    return _blind(_with_customer(tx, row))


def verdict_of(tx: Tx, case_id: str) -> Row | None:
    """Return the verdict on a case, or None while it is open."""
    return tx.first("SELECT * FROM verdicts WHERE case_id = :case_id", {"case_id": case_id})


def next_case_id(tx: Tx) -> str | None:
    """Return the open case that is worth most, or None: nothing waits."""
    found = tx.scalar(
        f"SELECT c.case_id FROM cases c {_PAUSE_JOIN} WHERE c.status = 'open' "
        f"AND NOT {_IS_PAUSED} ORDER BY c.priority DESC NULLS LAST, c.case_id LIMIT 1",
        {"now": now_text()},
    )
    return None if found is None else str(found)


def past_drafts(tx: Tx, customer_id: str, *, before_on: str, limit: int) -> list[Row]:
    """Return the customer's own issued drafts of earlier periods, the newest first."""
    return tx.rows(
        "SELECT draft_id, period, period_start_on, currency, total_minor, state FROM drafts "
        "WHERE customer_id = :customer_id AND period_start_on < :before_on AND state = 'issued' "
        "ORDER BY period_start_on DESC, draft_id LIMIT :limit",
        {"customer_id": customer_id, "before_on": before_on, "limit": limit},
    )


def customer_of(tx: Tx, customer_id: str) -> Row | None:
    """Return the customer's reference row."""
    return tx.first("SELECT * FROM customers WHERE customer_id = :id", {"id": customer_id})


def contract_of(tx: Tx, contract_id: str) -> Row | None:
    """Return the contract as known today."""
    return tx.first(
        "SELECT * FROM contracts WHERE contract_id = :id ORDER BY recorded_at DESC LIMIT 1",
        {"id": contract_id},
    )


def terms_of(tx: Tx, contract_id: str) -> list[Row]:
    """Return the contract's terms as known today, one row a term."""
    return _latest(tx, "contract_terms", "contract_id", "term_id", contract_id)


def phases_of(tx: Tx, subscription_id: str) -> list[Row]:
    """Return the subscription's phases as known today, one row a phase."""
    return _latest(tx, "subscription_phases", "subscription_id", "phase_id", subscription_id)


def _latest(tx: Tx, table: str, owner: str, part: str, value: str) -> list[Row]:
    return tx.rows(
        f"SELECT t.*, p.name AS plan_name FROM {table} t "
        "LEFT JOIN plans p ON p.price_book_id = t.price_book_id AND p.plan_id = t.plan_id "
        f"WHERE t.{owner} = :value AND t.recorded_at = (SELECT max(o.recorded_at) FROM {table} o "
        f"WHERE o.{owner} = t.{owner} AND o.{part} = t.{part}) ORDER BY t.effective_from_on",
        {"value": value},
    )


def entitlements_of(tx: Tx, contract_id: str) -> list[Row]:
    """Return what the product lets the customer use under the contract."""
    return tx.rows(
        "SELECT * FROM entitlements WHERE contract_id = :id ORDER BY feature, effective_from_on",
        {"id": contract_id},
    )


def timeline_of(tx: Tx, *object_ids: str) -> list[Row]:
    """Return every state change of the objects, in the order in which they were entered."""
    listed = tx.listed(object_ids)
    return tx.rows(
        f"SELECT * FROM state_changes WHERE object_id IN ({listed.sql}) ORDER BY seq", listed.values
    )


def list_runs(tx: Tx, *, limit: int = 50) -> list[Row]:
    """Return the latest runs, each with its drafts by state and its skips."""
    return tx.rows(
        "SELECT r.*, "
        "(SELECT count(*) FROM skips s WHERE s.run_id = r.run_id) AS skips "
        "FROM runs r ORDER BY r.started_at DESC, r.run_id LIMIT :limit",
        {"limit": limit},
    )


def find_run(tx: Tx, run_id: str) -> Row:
    """Return one run with the number of its skips.

    Raises
    ------
    NotFoundError
        There is no such run.
    """
    row = tx.first(
        "SELECT r.*, (SELECT count(*) FROM skips s WHERE s.run_id = r.run_id) AS skips "
        "FROM runs r WHERE r.run_id = :run_id",
        {"run_id": run_id},
    )
    if row is None:
        message = f"there is no run {run_id}"
        raise NotFoundError(message, run_id=run_id)
    return row


def draft_states(tx: Tx, run_ids: list[str]) -> dict[str, dict[str, int]]:
    """Return how many drafts of each run are in each state."""
    if not run_ids:
        return {}
    listed = tx.listed(run_ids)
    rows = tx.rows(
        "SELECT run_id, state, count(*) AS drafts FROM drafts "
        f"WHERE run_id IN ({listed.sql}) GROUP BY run_id, state",
        listed.values,
    )
    counts: dict[str, dict[str, int]] = {run_id: {} for run_id in run_ids}
    for row in rows:
        counts[row["run_id"]][row["state"]] = row["drafts"]
    return counts


def draft_versions(tx: Tx, draft_id: str) -> list[Row]:
    """Return every version of a draft with its decision, the living one first.

    Raises
    ------
    NotFoundError
        There is no such draft.
    """
    rows = tx.rows(
        "SELECT d.*, e.action FROM drafts d LEFT JOIN decisions e "
        "ON e.draft_id = d.draft_id AND e.draft_version = d.version WHERE d.draft_id = :id "
        "ORDER BY CASE WHEN d.state IN ('superseded', 'lapsed') THEN 1 ELSE 0 END, "
        "d.entered_at DESC",
        {"id": draft_id},
    )
    if not rows:
        message = f"there is no draft {draft_id}"
        raise NotFoundError(message, draft_id=draft_id)
    return rows


def document_of(tx: Tx, draft_id: str) -> Row | None:
    """Return the document that was issued for a draft."""
    return tx.first("SELECT * FROM documents WHERE draft_id = :id", {"id": draft_id})


def draft_of_document(tx: Tx, document_id: str) -> str:
    """Return the draft of a document.

    Raises
    ------
    NotFoundError
        There is no such document.
    """
    found = tx.scalar("SELECT draft_id FROM documents WHERE document_id = :id", {"id": document_id})
    if found is None:
        message = f"there is no document {document_id}"
        raise NotFoundError(message, document_id=document_id)
    return str(found)


def postings_of(tx: Tx, document_id: str) -> list[Row]:
    """Return the postings of a document's journal entries with the names of the accounts."""
    return tx.rows(
        "SELECT p.*, a.name AS account_name FROM journal_entries j "
        "JOIN postings p ON p.entry_id = j.entry_id "
        "LEFT JOIN ledger_accounts a "
        "ON a.entity_id = j.entity_id AND a.account_id = p.account_id "
        "WHERE j.document_id = :id ORDER BY p.entry_id, p.line",
        {"id": document_id},
    )


def deliveries_of(tx: Tx, document_id: str) -> list[Row]:
    """Return how each delivery of a document stands."""
    return tx.rows(
        "SELECT channel, status, attempts, delivered_at, next_attempt_at, last_error "
        "FROM outbox WHERE document_id = :id ORDER BY channel",
        {"id": document_id},
    )


def case_of_draft(tx: Tx, draft_id: str) -> str | None:
    """Return the latest case of a draft, or None: it never had one."""
    found = tx.scalar(
        "SELECT case_id FROM cases WHERE draft_id = :id ORDER BY opened_at DESC LIMIT 1",
        {"id": draft_id},
    )
    return None if found is None else str(found)


def operating_figures(tx: Tx) -> list[Row]:
    """Return (name, state, amount) of what an operator watches; for ``GET /metrics``."""
    return tx.rows(
        "SELECT 'cases' AS name, status AS state, count(*) AS amount FROM cases GROUP BY status "
        "UNION ALL SELECT 'outbox', status, count(*) FROM outbox GROUP BY status "
        "UNION ALL SELECT 'runs', status, count(*) FROM runs GROUP BY status "
        "UNION ALL SELECT 'quarantine', status, count(*) FROM quarantine GROUP BY status "
        "UNION ALL SELECT 'drafts', state, count(*) FROM drafts GROUP BY state "
        "UNION ALL SELECT 'engine_drafts', state, count(*) FROM engine_drafts GROUP BY state"
    )


def names_of(tx: Tx) -> dict[str, str]:
    """Return the name of every user by id; entries of the past name users by id alone."""
    return {row["user_id"]: row["name"] for row in tx.rows("SELECT user_id, name FROM users")}


def session_stamp(tx: Tx, user_id: str) -> str:
    """Return a digest that changes with the password: a session keeps it and ends with it."""
    found = tx.scalar("SELECT password_hash FROM users WHERE user_id = :id", {"id": user_id})
    return hashlib.sha256(str(found).encode()).hexdigest()[:32]
