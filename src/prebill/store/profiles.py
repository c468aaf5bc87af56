"""Profiles: one prepared row a customer with what the hook needs of the past, as JSON text.

Three rows of the table are no customer's: what is ordinary in the company, a sample of customers
with their payments, and the mark of what all rows were prepared from.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final

import polars as pl

from prebill.core.schemas.inbound import CREDIT_NOTES, CUSTOMERS, INVOICE_LINES, INVOICES, PAYMENTS
from prebill.store.codec import decode, encode
from prebill.store.engine import Row, Tx

FRAMES: Final = (INVOICES, INVOICE_LINES, PAYMENTS, CREDIT_NOTES)
#: No customer id begins with a star: the data contract forbids it nowhere, the sort order shows it.
PORTFOLIO: Final = "*portfolio"
COMPANY: Final = "*company"
MARK: Final = "*mark"

Facts = dict[str, pl.DataFrame]


def payloads(facts: Facts, owners: pl.DataFrame, *, by: str) -> pl.DataFrame:
    """Pack facts into one JSON text per owner.

    Parameters
    ----------
    facts : dict of frames
        By name of ``FRAMES``.
    owners : pl.DataFrame
        ``invoice_id`` and the column ``by``.
    by : str
        Column of the owner.

    Returns
    -------
    pl.DataFrame
        ``by`` and ``payload``.
    """
    packed = owners.select(by).unique(maintain_order=True)
    for frame in FRAMES:
        rows = encode(facts[frame.name].select(frame.names)).join(
            owners.select("invoice_id", pl.col(by).alias("__owner")),
            on="invoice_id",
            maintain_order="left",
        )
        texts = rows.select("__owner", row=pl.struct(frame.names).struct.json_encode())
        listed = texts.group_by("__owner").agg(pl.col("row").str.join(","))
        packed = packed.join(
            listed.rename({"__owner": by, "row": frame.name}), on=by, how="left"
        ).with_columns(pl.col(frame.name).fill_null(""))
    parts = [pl.format(f'"{frame.name}":[{{}}]', frame.name) for frame in FRAMES]
    text = pl.concat_str(pl.lit("{"), pl.concat_str(parts, separator=","), pl.lit("}"))
    return packed.select(by, payload=text)


def unpacked(payload: dict[str, list[Row]]) -> Facts:
    """Read what :func:`payloads` packed."""
    return {
        frame.name: decode(
            [tuple(row[name] for name in frame.names) for row in payload[frame.name]],
            pl.Schema(frame.schema),
        )
        for frame in FRAMES
    }


def replace_profiles(tx: Tx, rows: pl.DataFrame, *, as_of_on: date, mark: str) -> None:
    """Put new profiles (``customer_id, payload``) in the place of all old ones."""
    tx.execute("DELETE FROM profiles")
    marked = pl.DataFrame({"customer_id": [MARK], "payload": [mark]})
    every = pl.concat([rows.select("customer_id", "payload"), marked])
    tx.insert_frame("profiles", every.with_columns(as_of_on=pl.lit(as_of_on)))


def read_profiles(tx: Tx, customer_ids: Sequence[str]) -> dict[str, Row]:
    """Return the rows of these customers by id."""
    listed = tx.listed(customer_ids)
    rows = tx.rows(f"SELECT * FROM profiles WHERE customer_id IN ({listed.sql})", listed.values)
    return {row["customer_id"]: row for row in rows}


def customers_named(tx: Tx, customer_ids: Sequence[str]) -> pl.DataFrame:
    """Return the reference rows of these customers."""
    listed = tx.listed(customer_ids)
    where = f"WHERE customer_id IN ({listed.sql})"
    return tx.table_frame("customers", where, listed.values, columns=CUSTOMERS.names)
