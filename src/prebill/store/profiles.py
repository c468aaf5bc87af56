"""Profiles: one prepared row a customer with what the hook needs of the past, as JSON text.

Some rows of the table are no customer's: what is ordinary in the company, the same as a
challenger's forest sees it, and the mark of what all rows were prepared from.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import polars as pl

from prebill.core.schemas.inbound import CUSTOMERS, INVOICE_LINES, INVOICES
from prebill.core.scoring.prepared import KEPT, Prepared
from prebill.store.codec import decode_columns, encode
from prebill.store.engine import Row, Tx

#: The books of a customer, for drafts for whose day what was prepared does not hold.
BOOKS: Final = {frame.name: pl.Schema(frame.schema) for frame in (INVOICES, INVOICE_LINES)}
#: No customer id begins with a star: the data contract forbids it nowhere, the sort order shows it.
COMPANY: Final = "*company"
CHALLENGER: Final = "*challenger"
MARK: Final = "*mark"
#: How a mark begins; another number: rows of another form, made by another version of this program.
FORM: Final = "4:"

Facts = dict[str, pl.DataFrame]


def payloads(books: Facts, prepared: Facts) -> pl.DataFrame:
    """Pack frames into one text per customer: two lines of JSON, books and what was made of them.

    Parameters
    ----------
    books, prepared : dict of frames
        By name of ``BOOKS`` and ``KEPT``; each has ``customer_id``.

    Returns
    -------
    pl.DataFrame
        ``customer_id`` and ``payload``.
    """
    packed = books["invoices"].select("customer_id").unique(maintain_order=True)
    lines = {"books": _packed(packed, books, BOOKS), "ready": _packed(packed, prepared, KEPT)}
    return packed.select("customer_id", payload=pl.concat_str(list(lines.values()), separator="\n"))


def _packed(customers: pl.DataFrame, frames: Facts, schemas: Mapping[str, pl.Schema]) -> pl.Expr:
    """One JSON object a customer: by name of the frame its columns, each a list."""
    packed = customers
    for name, schema in schemas.items():
        rows = encode(frames[name].select(schema.names())).with_columns(
            owner=frames[name]["customer_id"]
        )
        listed = rows.group_by("owner", maintain_order=True).agg(schema.names())
        texts = listed.select(
            customer_id="owner", text=pl.struct(schema.names()).struct.json_encode().alias(name)
        )
        packed = packed.join(
            texts.rename({"text": name}), on="customer_id", how="left", maintain_order="left"
        )
    parts = [pl.concat_str(pl.lit(f'"{name}":'), pl.col(name).fill_null("{}")) for name in schemas]
    text = pl.concat_str(pl.lit("{"), pl.concat_str(parts, separator=","), pl.lit("}"))
    return pl.lit(packed.select(text).to_series())


def books_of(payloads: Sequence[str]) -> Facts:
    """Read the books that :func:`payloads` packed, of several customers."""
    return _unpacked([text.partition("\n")[0] for text in payloads], BOOKS)


def prepared_of(payloads: Sequence[str]) -> Prepared:
    """Read what :func:`payloads` packed as prepared, of several customers."""
    return Prepared(**_unpacked([text.partition("\n")[2] for text in payloads], KEPT))


def _unpacked(texts: Sequence[str], schemas: Mapping[str, pl.Schema]) -> Facts:
    parsed = [json.loads(text) for text in texts]
    return {
        name: decode_columns(
            {
                column: [value for one in parsed for value in one[name].get(column, ())]
                for column in schema
            },
            schema,
        )
        for name, schema in schemas.items()
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
