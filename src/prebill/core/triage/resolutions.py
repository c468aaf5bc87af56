"""What is known of a resolved case, in one row a reason. Pure.

Similar cases, the recommended action and the recommended queue are read from it.
"""

from typing import Final

import polars as pl

from prebill.core.schemas.frame import (
    Frame,
    boolean,
    collected,
    floating,
    instant,
    minor,
    optional,
    text,
)

#: What stands for a case that was opened without a reason.
NO_CODE: Final = "none"

RESOLUTIONS = Frame(
    "resolutions",
    "Resolved cases, one row a reason code; everything but ``code`` is the same in all of a case.",
    ("case_id", "code"),
    (
        text("case_id", "case"),
        text("code", "reason code that the case was opened with"),
        instant("resolved_at", "when"),
        text("resolved_by", "user"),
        text("verdict", "release, correct, reject"),
        text("reason_code", "what the person said, which is the cause of an error"),
        text("kind", "draft, gate, gap"),
        optional(text("customer_id", "customer")),
        text("queue", "where it was resolved"),
        text("first_queue", "where it was opened"),
        text("currency", "ISO 4217"),
        minor("amount_minor", "of the reason with the most money: > 0 over-billed; 0: none named"),
        minor("total_minor", "total of the draft; 0 for a gap"),
        boolean("is_exact", "whether an exact judge spoke"),
        text("codes", "all reason codes, comma separated, that with the most money first"),
        text("charges", "charges that the reasons touch, comma separated, sorted"),
        floating("anomaly_score", "[0, 1], high = unusual; null: not scored"),
        floating("p_error", "P(error) when it was opened"),
    ),
)
#: What is known of a case before anybody resolved it.
FACTS: Final = tuple(
    name
    for name in RESOLUTIONS.names
    if name not in ("resolved_at", "resolved_by", "verdict", "reason_code", "queue")
)

_FOUND: Final = pl.List(
    pl.Struct(
        {
            "code": pl.String(),
            "basis": pl.String(),
            "amount_minor": pl.Int64(),
            "line_ids": pl.String(),
        }
    )
)
_LINES: Final = pl.List(pl.Struct({"line_id": pl.String(), "charge_id": pl.String()}))


def facts_of(cases: pl.DataFrame) -> pl.DataFrame:
    """Read findings and lines of cases: one row a case and reason code.

    Parameters
    ----------
    cases : pl.DataFrame, one row a case
        ``case_id``; ``findings_json, reasons, lines_json`` (texts, null: none), and whatever else
        is to stay. A gap has reasons alone.

    Returns
    -------
    pl.DataFrame
        The other columns with ``code, amount_minor, is_exact, codes, charges``, sorted by case
        and code.
    """
    source = (
        pl.when(pl.col("findings_json").fill_null("[]") == "[]")
        .then(pl.col("reasons").fill_null("[]"))
        .otherwise("findings_json")
    )
    lazy = cases.lazy()
    found = _exploded(lazy.select("case_id", found=source.str.json_decode(_FOUND)), "found")
    by_size = found.with_columns(
        code=pl.col("code").fill_null(NO_CODE), size=pl.col("amount_minor").abs().fill_null(0)
    ).sort("size", descending=True, maintain_order=True)
    # A gap's reasons name no basis: the contract expects the invoice, which is exact.
    is_exact = pl.col("basis").fill_null("exact") == "exact"
    whole = by_size.group_by("case_id").agg(
        amount_minor=pl.col("amount_minor").first().fill_null(0),
        is_exact=(is_exact & (pl.col("code") != NO_CODE)).any(),
        codes=pl.col("code").unique(maintain_order=True).str.join(","),
    )
    pairs = by_size.select("case_id", "code").unique()
    rest = lazy.drop("findings_json", "reasons", "lines_json")
    return collected(
        rest.join(pairs, on="case_id")
        .join(whole, on="case_id")
        .join(_charges(lazy, by_size), on="case_id", how="left")
        .with_columns(pl.col("charges").fill_null(""))
        .sort("case_id", "code")
    )


def _charges(cases: pl.LazyFrame, found: pl.LazyFrame) -> pl.LazyFrame:
    """Charges of the lines that the findings name."""
    decoded = pl.col("lines_json").fill_null("[]").str.json_decode(_LINES)
    lines = _exploded(cases.select("case_id", lines=decoded), "lines")
    named = found.select("case_id", line_id=pl.col("line_ids").fill_null("").str.split(","))
    touched = named.explode("line_id").with_columns(pl.col("line_id").str.strip_chars()).unique()
    return (
        lines.join(touched, on=["case_id", "line_id"], how="semi")
        .group_by("case_id")
        .agg(charges=pl.col("charge_id").unique().sort().str.join(","))
    )


def _exploded(frame: pl.LazyFrame, name: str) -> pl.LazyFrame:
    """One row a list element, its fields as columns; a case with an empty list has nulls."""
    return frame.explode(name, empty_as_null=True, keep_nulls=True).unnest(name)


def once_a_case(rows: pl.DataFrame) -> pl.DataFrame:
    """One row a case, in the order of its first."""
    return rows.unique("case_id", keep="first", maintain_order=True)
