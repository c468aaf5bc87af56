"""Reference data as a run sees it: all of it, or what concerns some customers."""

import hashlib
from datetime import datetime

import polars as pl

from prebill.core.schemas import INBOUND
from prebill.store.engine import Tx

#: Reference frames that hold for all customers; their hash is frozen with a run.
SHARED = (
    "legal_entities",
    "meters",
    "price_books",
    "plans",
    "charges",
    "tiers",
    "exchange_rates",
    "account_mappings",
    "accounting_periods",
)
_FRAMES = {frame.name: frame for frame in INBOUND}
_OF_CONTRACTS = "contract_id IN (SELECT contract_id FROM contracts WHERE {range})"
_OF_SUBSCRIPTIONS = "subscription_id IN (SELECT subscription_id FROM subscriptions WHERE {range})"
_RANGE = "customer_id BETWEEN :first AND :last"

#: Frame → how its rows belong to customers.
_OWNED = {
    "customers": _RANGE,
    "contracts": _RANGE,
    "subscriptions": _RANGE,
    "contract_terms": _OF_CONTRACTS.format(range=_RANGE),
    "entitlements": _OF_CONTRACTS.format(range=_RANGE),
    "subscription_phases": _OF_SUBSCRIPTIONS.format(range=_RANGE),
}


def shared_frames(tx: Tx) -> dict[str, pl.DataFrame]:
    """Return the frames that hold for all customers, by name, sorted by key."""
    return {
        name: tx.table_frame(name, columns=_FRAMES[name].names).sort(_FRAMES[name].key)
        for name in SHARED
    }


def reference_hash(shared: dict[str, pl.DataFrame]) -> str:
    """Return the SHA-256 over the frames' content; equal content gives the equal hash.

    Open and closed accounting months are left out: closing one is no change of prices.
    """
    digest = hashlib.sha256()
    for name, frame in sorted(shared.items()):
        if name == "accounting_periods":
            continue
        digest.update(name.encode())
        digest.update(frame.cast(pl.String).write_csv().encode())
    return digest.hexdigest()


def owned_frames(tx: Tx, members: list[str], as_of_at: datetime) -> dict[str, pl.DataFrame]:
    """Return the frames of some customers, as they were known at an instant.

    ``members`` is sorted. The database reads the range from the first to the last of them.
    """
    if not members:
        return {name: _FRAMES[name].empty() for name in _OWNED}
    wanted = pl.DataFrame({"customer_id": members}, schema={"customer_id": pl.String()})
    found = {name: _owned(tx, name, members, as_of_at) for name in _OWNED}
    for name in ("customers", "contracts", "subscriptions"):
        found[name] = found[name].join(wanted, on="customer_id", how="semi")
    contracts = found["contracts"].select("contract_id").unique()
    for name in ("contract_terms", "entitlements"):
        found[name] = found[name].join(contracts, on="contract_id", how="semi")
    subscriptions = found["subscriptions"].select("subscription_id").unique()
    found["subscription_phases"] = found["subscription_phases"].join(
        subscriptions, on="subscription_id", how="semi"
    )
    return found


def _owned(tx: Tx, name: str, members: list[str], as_of_at: datetime) -> pl.DataFrame:
    frame = _FRAMES[name]
    known = " AND recorded_at <= :as_of_at" if "recorded_at" in frame.names else ""
    parameters = {"first": members[0], "last": members[-1], "as_of_at": as_of_at}
    if not known:
        del parameters["as_of_at"]
    return tx.table_frame(name, f"WHERE {_OWNED[name]}{known}", parameters, columns=frame.names)


def customers_to_bill(tx: Tx, *, start_on: str, end_on: str, entity_id: str | None) -> list[str]:
    """Return the customers with a contract or subscription in force in [start_on, end_on)."""
    statement = (
        "SELECT customer_id FROM contracts WHERE starts_on < :end_on "
        "AND (ends_on IS NULL OR ends_on > :start_on) {entity} "
        "UNION SELECT s.customer_id FROM subscriptions s JOIN contracts c "
        "ON c.contract_id = s.contract_id WHERE s.started_on < :end_on "
        "AND (s.ended_on IS NULL OR s.ended_on > :start_on) {entity} ORDER BY 1"
    )
    entity = "AND entity_id = :entity_id" if entity_id else ""
    parameters = {"start_on": start_on, "end_on": end_on}
    if entity_id:
        parameters["entity_id"] = entity_id
    return [row["customer_id"] for row in tx.rows(statement.format(entity=entity), parameters)]
