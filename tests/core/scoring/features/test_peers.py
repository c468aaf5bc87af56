"""A new customer is compared with customers like it, not with everybody."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from prebill.core.scoring.features import peers
from prebill.core.scoring.windows import PORTFOLIO_ROWS

DAY = date(2026, 3, 31)


def sold(name: str, products: list[str], currency: str, totals: list[float]) -> pl.DataFrame:
    """Invoices of one kind with their groups; totals in minor units, one a day up to ``DAY``."""
    ids = [f"{name}{n}" for n in range(len(totals))]
    invoices = pl.DataFrame(
        {
            "invoice_id": ids,
            "currency": currency,
            "issued_on": [DAY - timedelta(days=n % 20) for n in range(len(totals))],
            "total": np.log1p(totals),
        }
    )
    lines = pl.DataFrame(
        {"invoice_id": np.repeat(ids, len(products)), "product": products * len(ids)}
    )
    return invoices.join(peers.groups(invoices, lines), on="invoice_id")


@pytest.fixture(scope="module")
def past() -> pl.DataFrame:
    rng = np.random.default_rng(1)
    small = (5_000 * rng.lognormal(0, 0.2, 60)).tolist()
    large = (500_000 * rng.lognormal(0, 0.2, 60)).tolist()
    return pl.concat(
        [
            sold("small", ["base", "calls"], "EUR", small),
            sold("large", ["seats"], "EUR", large),
            sold("yen", ["seats"], "JPY", [9_000_000.0] * 25),
        ]
    )


def newcomer(products: list[str], currency: str, total: float) -> pl.DataFrame:
    return sold("new", products, currency, [total])


@pytest.mark.parametrize("is_learnt", [True, False])
def test_a_total_among_the_portfolios_is_unlike_its_peers(
    past: pl.DataFrame, *, is_learnt: bool
) -> None:
    """Ten times what customers of the same plan pay, between small and large ones."""
    draft = newcomer(["calls", "base"], "EUR", 50_000.0)
    if is_learnt:
        found = peers.features(draft, past).row(0, named=True)
    else:
        found = peers.features(pl.concat([past, draft]), None).row(-1, named=True)
    assert found["peers_kind"] == "products"
    assert found["total_peers"] > 8
    assert np.expm1(found["peers_center"]) == pytest.approx(5_000, rel=0.15)
    assert found["peers_known"] == 60 + (0 if is_learnt else 1)


def test_unknown_products_are_compared_within_the_currency(past: pl.DataFrame) -> None:
    euro = peers.features(newcomer(["other"], "EUR", 50_000.0), past).row(0, named=True)
    yen = peers.features(newcomer(["other"], "JPY", 9_000_000.0), past).row(0, named=True)
    assert (euro["peers_kind"], euro["peers_known"]) == ("currency", 120)
    assert abs(euro["total_peers"]) < 1
    assert (yen["peers_kind"], yen["total_peers"]) == ("currency", 0.0)


def test_a_new_currency_is_compared_with_everybody(past: pl.DataFrame) -> None:
    found = peers.features(newcomer(["base"], "CHF", 50_000.0), past).row(0, named=True)
    assert (found["peers_kind"], found["peers_known"]) == ("everybody", past.height)


def test_an_invoice_without_lines_has_its_currency(past: pl.DataFrame) -> None:
    bare = newcomer([], "EUR", 50_000.0)
    assert bare["peers_products"].to_list() == [None]
    assert peers.features(bare, past)["peers_kind"].to_list() == ["currency"]


def test_too_few_peers_say_nothing() -> None:
    few = sold("few", ["base"], "EUR", [5_000.0] * (PORTFOLIO_ROWS - 1))
    draft = newcomer(["base"], "EUR", 5_000.0)
    assert peers.features(draft, few)["total_peers"].to_list() == [None]
    assert peers.features(few, None)["total_peers"].null_count() == few.height


def test_later_invoices_are_no_peers(past: pl.DataFrame) -> None:
    later = past.with_columns(
        issued_on=pl.col("issued_on") + timedelta(days=60), total=pl.col("total") + 3.0
    )
    expected = peers.features(past, None)
    actual = peers.features(pl.concat([past, later]), None).head(past.height)
    assert expected.equals(actual)
