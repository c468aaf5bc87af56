"""Read from the demo's database what its report needs: outcome of the run, control figures."""

import json
from datetime import date
from typing import Any

import polars as pl

from prebill import audit
from prebill.core.calendar import Period
from prebill.demo.assessment import OUTCOME
from prebill.demo.report import Control
from prebill.settings import Settings
from prebill.store.engine import Store, Tx

_LIVE = "state NOT IN ('superseded', 'lapsed')"


def outcome(tx: Tx, period: Period) -> pl.DataFrame:
    """Return every draft of the period with its action, and every case of a missing invoice."""
    drafts = _drafts(tx, period)
    drafted = drafts.with_columns(
        reason_code=_first_codes(drafts["reasons"]), is_gap=pl.lit(value=False)
    )
    gaps = _gaps(tx, period, drafts)
    return pl.concat([drafted.select(OUTCOME.names()), gaps]).cast(OUTCOME)


def customer_names(tx: Tx) -> pl.DataFrame:
    """Return ``customer_id`` and ``name`` of every customer."""
    return tx.table_frame("customers", columns=["customer_id", "name"])


def _drafts(tx: Tx, period: Period) -> pl.DataFrame:
    """Living drafts with their decision."""
    text = pl.String()
    schema = dict.fromkeys(("draft_id", "contract_id", "customer_id", "currency"), text)
    return tx.frame(
        "SELECT d.draft_id, d.contract_id, d.customer_id, d.currency, d.total_minor, d.state, "
        "e.action, e.reasons FROM drafts d JOIN decisions e "
        "ON e.draft_id = d.draft_id AND e.draft_version = d.version "
        f"WHERE d.period = :period AND d.{_LIVE} ORDER BY d.draft_id",
        {**schema, "total_minor": pl.Int64(), "state": text, "action": text, "reasons": text},
        {"period": period.name},
    )


def _first_codes(reasons: pl.Series) -> pl.Series:
    """The code of the first reason of each decision, null where there is none."""
    lists = reasons.fill_null("[]").str.json_decode(pl.List(pl.Struct({"code": pl.String()})))
    return lists.list.first().struct.field("code")


def _gaps(tx: Tx, period: Period, drafts: pl.DataFrame) -> pl.DataFrame:
    """Open cases of missing invoices; they belong to an active contract without a draft."""
    text = pl.String()
    cases = tx.frame(
        "SELECT c.draft_id, c.currency, c.action, e.reasons, c.expected_loss_minor AS total_minor "
        "FROM cases c LEFT JOIN decisions e "
        "ON e.draft_id = c.draft_id AND e.draft_version = c.draft_version "
        "WHERE c.kind = 'gap' AND c.status = 'open' ORDER BY c.draft_id",
        {
            **dict.fromkeys(("draft_id", "currency", "action", "reasons"), text),
            "total_minor": pl.Int64(),
        },
    )
    # gap:PERIOD:CUSTOMER:PRODUCT
    owned = cases.with_columns(customer_id=pl.col("draft_id").str.split(":").list.get(2))
    undrafted = active_contracts(tx, period).join(drafts, on="contract_id", how="anti")
    contract = undrafted.sort("contract_id").unique("customer_id", keep="first")
    return (
        owned.join(contract.select("customer_id", "contract_id"), on="customer_id", how="left")
        .with_columns(
            pl.col("contract_id").fill_null(""),
            reason_code=_first_codes(owned["reasons"]),
            is_gap=pl.lit(value=True),
        )
        .sort("draft_id")
        .select(OUTCOME.names())
    )


def active_contracts(tx: Tx, period: Period) -> pl.DataFrame:
    """Return the contracts in force on some day of the period, by their latest version."""
    columns = ["contract_id", "customer_id", "entity_id", "starts_on", "ends_on", "recorded_at"]
    latest = (
        tx.table_frame("contracts", columns=columns)
        .sort("recorded_at")
        .unique("contract_id", keep="last")
    )
    return latest.filter(
        (pl.col("starts_on") < period.end_on)
        & (pl.col("ends_on").is_null() | (pl.col("ends_on") > period.start_on))
    )


def control(store: Store, settings: Settings, period: Period, *, differences: list[str]) -> Control:
    """Count from the tables what must agree; ``differences`` come from the reconciliation."""
    with store.read() as tx:
        contracts = active_contracts(tx, period)
        drafts = _drafts(tx, period)
        skipped = _skipped(tx, period)
        balances = _balances(tx)
    undrafted = contracts.join(drafts, on="contract_id", how="anti")
    states = dict(drafts["state"].value_counts().iter_rows())
    verified = audit.verify(store, settings.audit_heads_path)
    return Control(
        contracts=contracts.height,
        drafted_contracts=contracts.height - undrafted.height,
        skipped_contracts=undrafted.join(skipped, on="contract_id", how="semi").height,
        drafts=drafts.height,
        issued=states.get("issued", 0),
        in_review=states.get("in_review", 0),
        held=states.get("held", 0),
        unbalanced=balances.filter(pl.col("balance") != 0).height,
        entries_by_entity=_by_entity(balances),
        audit_entries=verified.sealed + verified.unsealed,
        audit_problems=[f"{one.code}: {one.text}" for one in verified.findings],
        differences=differences,
    )


def _skipped(tx: Tx, period: Period) -> pl.DataFrame:
    return tx.frame(
        "SELECT DISTINCT contract_id FROM skips WHERE period = :period",
        {"contract_id": pl.String()},
        {"period": period.name},
    )


def _balances(tx: Tx) -> pl.DataFrame:
    """Sum up the postings of each journal entry and currency: zero is balanced."""
    text = pl.String()
    return tx.frame(
        "SELECT j.entity_id, p.currency, p.entry_id, sum(p.amount_minor) AS balance "
        "FROM journal_entries j JOIN postings p ON p.entry_id = j.entry_id "
        "GROUP BY j.entity_id, p.currency, p.entry_id",
        {"entity_id": text, "currency": text, "entry_id": text, "balance": pl.Int64()},
    )


def _by_entity(balances: pl.DataFrame) -> dict[str, int]:
    counted = balances.group_by("entity_id", "currency").len().sort("entity_id", "currency")
    return {f"{entity} {currency}": count for entity, currency, count in counted.iter_rows()}


def as_plain(value: Any) -> Any:
    """Make a value of a frame fit for JSON."""
    return value.isoformat() if isinstance(value, date) else value


def rows_of(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as JSON holds them."""
    plain: list[dict[str, Any]] = json.loads(json.dumps(frame.to_dicts(), default=as_plain))
    return plain
