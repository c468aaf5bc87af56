from datetime import date
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prebill.core.accounting.journal import POSTINGS, Ledger, postings, unpostable
from prebill.core.errors import SchemaError
from prebill.core.money import DECIMAL
from prebill.core.schemas.inbound import ACCOUNT_MAPPINGS, EXCHANGE_RATES

PURPOSES = ("receivable", "revenue", "deferred_revenue", "tax_payable", "rounding")
DAY = date(2026, 10, 31)


def ledger(*, rate: str | None = "0.8431", without: str = "", rate_on: date = DAY) -> Ledger:
    entities = pl.DataFrame({"entity_id": ["DE1", "JP1"], "currency": ["EUR", "JPY"]})
    mappings = ACCOUNT_MAPPINGS.conform(
        pl.DataFrame(
            [
                {"entity_id": e, "purpose": p, "tax_category": "*", "account_id": f"{e}-{p}"}
                for e in ("DE1", "JP1")
                for p in PURPOSES
                if p != without
            ]
        )
    )
    rates = EXCHANGE_RATES.empty()
    if rate is not None:
        rates = pl.DataFrame(
            {
                "base_currency": ["GBP", "GBP"],
                "quote_currency": ["EUR", "JPY"],
                "rate_on": [rate_on, rate_on],
                "rate": pl.Series([Decimal(rate)] * 2, dtype=DECIMAL),
                "source": ["test", "test"],
            }
        )
    return Ledger(entities, mappings, rates)


def documents_of(lines: pl.DataFrame, currency: str, entity_id: str = "DE1") -> pl.DataFrame:
    sums = lines.group_by("draft_id", maintain_order=True).agg(
        subtotal_minor=pl.col("amount_minor").sum(), tax_minor=pl.col("tax_minor").sum()
    )
    return sums.with_columns(
        entity_id=pl.lit(entity_id),
        currency=pl.lit(currency),
        tax_point_on=pl.lit(DAY),
        total_minor=pl.col("subtotal_minor") + pl.col("tax_minor"),
    )


def lines_of(rows: list[tuple[str, str, str, int, int]]) -> pl.DataFrame:
    return pl.DataFrame(
        rows,
        schema={
            "draft_id": pl.String,
            "timing": pl.String,
            "tax_category": pl.String,
            "amount_minor": pl.Int64,
            "tax_minor": pl.Int64,
        },
        orient="row",
    )


LINE = st.tuples(
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["in_advance", "in_arrears"]),
    st.sampled_from(["saas", "goods"]),
    st.integers(-(10**11), 10**11),
    st.integers(-(10**10), 10**10),
)


@given(
    rows=st.lists(LINE, min_size=1, max_size=12),
    rate=st.decimals("0.000001", "2000", places=6),
    currency=st.sampled_from(["GBP", "EUR"]),
    entity_id=st.sampled_from(["DE1", "JP1"]),
)
@settings(max_examples=60, deadline=None)
def test_every_entry_balances_in_both_currencies(
    rows: list[tuple[str, str, str, int, int]], rate: Decimal, currency: str, entity_id: str
) -> None:
    lines = lines_of(rows)
    found = ledger(rate=str(rate))
    if (currency, entity_id) == ("EUR", "JP1"):
        found = Ledger(
            found.entities,
            found.mappings,
            found.rates.with_columns(base_currency=pl.lit("EUR")),
        )
    result = postings(documents_of(lines, currency, entity_id), lines, found)
    sums = result.group_by("draft_id", "currency", "functional_currency").agg(
        pl.col("amount_minor", "functional_minor").sum()
    )
    assert set(sums["amount_minor"]) == {0}
    assert set(sums["functional_minor"]) == {0}
    assert result.schema == POSTINGS
    receivable = result.filter(pl.col("purpose") == "receivable")
    assert documents_of(lines, currency)["total_minor"].sum() == receivable["amount_minor"].sum()


def test_billed_in_advance_is_deferred_and_in_arrears_is_revenue() -> None:
    lines = lines_of(
        [("a", "in_advance", "saas", 4900, 931), ("a", "in_arrears", "saas", 1000, 190)]
    )
    result = postings(documents_of(lines, "EUR"), lines, ledger())
    assert list(result.select("purpose", "amount_minor").iter_rows()) == [
        ("receivable", 7021),
        ("deferred_revenue", -4900),
        ("revenue", -1000),
        ("tax_payable", -1121),
    ]
    assert result["line"].to_list() == [1, 2, 3, 4]


def test_what_the_conversion_leaves_over_goes_to_the_rounding_account() -> None:
    # 3 x 1 penny at 0.5: each half rounds away from zero, the receivable to 2 and the lines to 3.
    lines = lines_of(
        [
            ("a", "in_advance", "saas", 1, 0),
            ("a", "in_arrears", "saas", 1, 0),
            ("a", "in_arrears", "goods", 1, 0),
        ]
    )
    result = postings(documents_of(lines, "GBP"), lines, ledger(rate="0.5"))
    rounding = result.filter(pl.col("purpose") == "rounding")
    assert rounding.select("amount_minor", "functional_minor").rows() == [(0, 1)]
    assert Decimal("0.5") == result["rate"][0]


def test_minor_units_follow_the_exponents_of_both_currencies() -> None:
    lines = lines_of([("a", "in_arrears", "saas", 12345, 0)])
    result = postings(documents_of(lines, "GBP", "JP1"), lines, ledger(rate="200"))
    assert result.filter(pl.col("purpose") == "receivable")["functional_minor"].item() == 24690


def test_missing_account_and_missing_rate_are_named() -> None:
    lines = lines_of([("a", "in_arrears", "saas", 100, 19), ("b", "in_advance", "saas", 100, 19)])
    found = unpostable(documents_of(lines, "GBP"), lines, ledger(rate=None, without="revenue"))
    assert found.findings.select("draft_id", "code").rows() == [
        ("a", "account_mapping_missing"),
        ("a", "exchange_rate_missing"),
        ("b", "exchange_rate_missing"),
    ]


def test_a_rate_after_the_tax_point_is_not_used() -> None:
    lines = lines_of([("a", "in_arrears", "saas", 100, 0)])
    found = unpostable(documents_of(lines, "GBP"), lines, ledger(rate_on=date(2026, 11, 1)))
    assert found.findings["code"].to_list() == ["exchange_rate_missing"]


def test_posting_what_can_not_be_posted_is_refused() -> None:
    lines = lines_of([("a", "in_arrears", "saas", 100, 0)])
    with pytest.raises(SchemaError, match="without account"):
        postings(documents_of(lines, "EUR"), lines, ledger(without="revenue"))


def test_lines_that_do_not_add_up_are_refused() -> None:
    lines = lines_of([("a", "in_arrears", "saas", 100, 0)])
    wrong = documents_of(lines, "EUR").with_columns(total_minor=pl.lit(101, dtype=pl.Int64))
    with pytest.raises(SchemaError, match="do not add up"):
        postings(wrong, lines, ledger())


def test_no_documents_make_no_postings() -> None:
    lines = lines_of([])
    assert postings(documents_of(lines, "EUR"), lines, ledger()).is_empty()
