"""Tax: which treatment a draft has, which rate a line has, and what must be looked at.

Rules, for services supplied electronically:

* no country of the customer: ``UNKNOWN``, 0, finding ``tax_country_missing``;
* seller and customer in one country: its standard rate (US: the rate of the customer's state);
* seller and customer in two EU countries: reverse charge ``EU-RC`` for a business with a tax id of
  its country that python-stdnum accepts, else the rate of the customer's country (one-stop shop);
* all else: ``EXPORT``, 0; a consumer in the EU or the UK gets a finding, since the seller would
  have to be registered there.

The rate is the one in force on the tax point, rounded per line.
"""

from typing import Final

import polars as pl
from stdnum.eu import vat

from prebill.core.billing.segments import Segments
from prebill.core.billing.tax_rates import ANY_CATEGORY, eu_countries
from prebill.core.money import DECIMAL, round_minor

UNKNOWN_CODE: Final = "UNKNOWN"
REVERSE_CHARGE_CODE: Final = "EU-RC"
EXPORT_CODE: Final = "EXPORT"
_PARTIES: Final = ["seller_country", "country", "region", "tax_id", "is_business"]
#: Countries under two names: how tax ids and users write them → ISO 3166.
_ALIASES: Final = {"EL": "GR", "UK": "GB"}


def treatments(parties: pl.DataFrame) -> pl.DataFrame:
    """Decide the tax treatment of each row.

    Parameters
    ----------
    parties : pl.DataFrame
        ``seller_country``, and of the customer ``country``, ``region``, ``tax_id``,
        ``is_business``, each of which may be null.

    Returns
    -------
    pl.DataFrame
        The rows with ``treatment`` (standard, reverse_charge, export, unknown), ``jurisdiction``
        (null unless standard) and ``tax_finding`` (code or null).
    """
    placed = parties.with_columns(
        _seller=_country("seller_country"), _buyer=_country("country"), _region=_region()
    )
    seller, buyer = pl.col("_seller"), pl.col("_buyer")
    union = eu_countries()
    crosses_union = seller.is_in(union) & buyer.is_in(union) & (seller != buyer)
    marked = placed.with_columns(_crosses=crosses_union.fill_null(value=False))
    marked = marked.join(
        _valid_ids(marked), on=["_buyer", "tax_id"], how="left", maintain_order="left"
    )
    may_be_business = pl.col("is_business").fill_null(value=True)
    is_reverse = pl.col("_crosses") & may_be_business & pl.col("_is_valid").fill_null(value=False)
    is_standard = (seller == buyer) | pl.col("_crosses")
    treatment = (
        pl.when(buyer.is_null() | ((buyer == "US") & is_standard & pl.col("_region").is_null()))
        .then(pl.lit("unknown"))
        .when(is_reverse)
        .then(pl.lit("reverse_charge"))
        .when(is_standard)
        .then(pl.lit("standard"))
        .otherwise(pl.lit("export"))
    )
    place = pl.when(buyer == "US").then(pl.format("US-{}", "_region")).otherwise(buyer)
    decided = marked.with_columns(treatment=treatment).with_columns(
        jurisdiction=pl.when(pl.col("treatment") == "standard").then(place),
        tax_finding=_finding(union),
    )
    return decided.drop("_seller", "_buyer", "_region", "_crosses", "_is_valid")


def rates(asked: pl.DataFrame, tax_rates: pl.DataFrame) -> pl.DataFrame:
    """Find code and rate of each different (treatment, jurisdiction, category, tax point).

    Returns
    -------
    pl.DataFrame
        ``asked`` with ``tax_code``, ``tax_percent`` and ``is_rate_known``.
    """
    standard = asked.filter(pl.col("treatment") == "standard")
    found = (
        standard.join(tax_rates.rename({"tax_category": "rate_category"}), on="jurisdiction")
        .filter(
            (pl.col("rate_category") == pl.col("tax_category"))
            | (pl.col("rate_category") == ANY_CATEGORY),
            pl.col("effective_from_on") <= pl.col("tax_point_on"),
            pl.col("effective_to_on").is_null()
            | (pl.col("effective_to_on") > pl.col("tax_point_on")),
        )
        # The category's own row goes before the one for all, the later before the earlier.
        .sort(pl.col("rate_category") == ANY_CATEGORY, -pl.col("effective_from_on").to_physical())
        .unique(["jurisdiction", "tax_category", "tax_point_on"], keep="first", maintain_order=True)
        .select("jurisdiction", "tax_category", "tax_point_on", "percent")
    )
    key = ["jurisdiction", "tax_category", "tax_point_on"]
    joined = asked.join(found, on=key, how="left", maintain_order="left")
    percent_text = (
        pl.col("percent").cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    )
    is_us = pl.col("jurisdiction").str.starts_with("US-")
    standard_code = (
        pl.when(pl.col("percent").is_null())
        .then(pl.lit(UNKNOWN_CODE))
        .when(is_us)
        .then("jurisdiction")
        .otherwise(pl.format("{}-S-{}", "jurisdiction", percent_text))
    )
    code = (
        pl.when(pl.col("treatment") == "standard")
        .then(standard_code)
        .when(pl.col("treatment") == "reverse_charge")
        .then(pl.lit(REVERSE_CHARGE_CODE))
        .when(pl.col("treatment") == "export")
        .then(pl.lit(EXPORT_CODE))
        .otherwise(pl.lit(UNKNOWN_CODE))
    )
    is_known = (pl.col("treatment") != "standard") | pl.col("percent").is_not_null()
    return joined.with_columns(
        tax_code=code,
        tax_percent=pl.col("percent").fill_null(pl.lit(0, dtype=pl.Int64).cast(DECIMAL)),
        is_rate_known=is_known,
    ).drop("percent")


def taxed(lines: pl.DataFrame, cut: Segments, tax_rates: pl.DataFrame) -> pl.DataFrame:
    """Add tax point, treatment, code, rate and tax to priced lines.

    Parameters
    ----------
    lines : pl.DataFrame
        Priced pieces with ``sub_row`` and ``charge_key``.
    cut : Segments
        Subscriptions with their parties, and charges with their categories.
    tax_rates : pl.DataFrame, TAX_RATES
        Dated rates.

    Returns
    -------
    pl.DataFrame
        The lines, in their order, with ``tax_point_on`` (the last day that the draft bills),
        ``treatment``, ``jurisdiction``, ``tax_finding``, ``tax_code``, ``tax_percent``,
        ``is_rate_known`` and ``tax_minor``.
    """
    last_day = pl.col("service_end_on").max() - pl.duration(days=1)
    points = lines.group_by("sub_row").agg(tax_point_on=last_day)
    parties = cut.terms.subscriptions.select("sub_row", *_PARTIES)
    decided = treatments(parties).drop(_PARTIES).join(points, on="sub_row", how="inner")
    case = ["treatment", "jurisdiction", "tax_point_on"]
    cases = decided.select(case).unique().with_row_index("case_no")
    drafts = decided.join(cases, on=case, how="left", nulls_equal=True)
    categories = cut.charges.select("charge_key", "tax_category")
    asked = cases.join(categories.select("tax_category").unique(), how="cross")
    found = (
        rates(asked, tax_rates)
        .join(categories, on="tax_category")
        .select("case_no", "charge_key", "tax_code", "tax_percent", "is_rate_known")
    )
    placed = lines.join(drafts, on="sub_row", how="left", maintain_order="left").join(
        found, on=["case_no", "charge_key"], how="left", maintain_order="left"
    )
    return placed.with_columns(tax_minor=tax_minor(pl.col("amount_minor"), pl.col("tax_percent")))


def tax_minor(amount_minor: pl.Expr, percent: pl.Expr) -> pl.Expr:
    """Round the tax of one line to minor units.

    Examples
    --------
    >>> frame = pl.DataFrame({"a": [997], "p": ["21"]}).with_columns(pl.col("p").cast(DECIMAL))
    >>> frame.select(tax_minor(pl.col("a"), pl.col("p")))["a"].to_list()
    [209]
    """
    hundred = pl.lit(100, dtype=pl.Int64).cast(DECIMAL)
    return round_minor(amount_minor.cast(DECIMAL) * percent / hundred)


def is_valid_vat_id(country: str, tax_id: str) -> bool:
    """Say whether the id has the form and check digits of an EU VAT id of that country.

    Examples
    --------
    >>> is_valid_vat_id("DE", "DE136695976"), is_valid_vat_id("FR", "DE136695976")
    (True, False)
    """
    prefix = tax_id.strip().upper()[:2]
    return _ALIASES.get(prefix, prefix) == country and bool(vat.is_valid(tax_id))


def country_of_tax_id(tax_id: str | None) -> str | None:
    """Read the country that a tax id names; None: it names none, or is not valid there.

    Examples
    --------
    >>> country_of_tax_id("DE136695976"), country_of_tax_id("CHE-107.787.577 MWST")
    ('DE', 'CH')
    >>> country_of_tax_id("12-3456789") is None
    True
    """
    text = (tax_id or "").strip().upper()
    country = _ALIASES.get(text[:2], text[:2])
    if country in eu_countries():
        return country if is_valid_vat_id(country, text) else None
    return country if text.startswith(("GB", "CHE")) else None


def _country(column: str) -> pl.Expr:
    text = pl.col(column).str.strip_chars().str.to_uppercase()
    return pl.when(text != "").then(text.replace(_ALIASES))


def _region() -> pl.Expr:
    text = pl.col("region").str.strip_chars().str.to_uppercase().str.strip_prefix("US-")
    return pl.when(text != "").then(text)


def _valid_ids(marked: pl.DataFrame) -> pl.DataFrame:
    """Check each different id once, and only where it decides the treatment."""
    asked = (
        marked.filter(pl.col("_crosses") & pl.col("tax_id").is_not_null())
        .select("_buyer", "tax_id")
        .unique()
    )
    answers = [is_valid_vat_id(country, tax_id) for country, tax_id in asked.iter_rows()]
    return asked.with_columns(pl.Series("_is_valid", answers, dtype=pl.Boolean))


def _finding(union: tuple[str, ...]) -> pl.Expr:
    buyer, treatment = pl.col("_buyer"), pl.col("treatment")
    is_refused = pl.col("_is_valid").fill_null(value=True).not_()
    is_consumer = pl.col("is_business").fill_null(value=True).not_()
    return (
        pl.when(buyer.is_null())
        .then(pl.lit("tax_country_missing"))
        .when(treatment == "unknown")
        .then(pl.lit("tax_region_missing"))
        .when((treatment == "standard") & pl.col("_crosses") & ~is_consumer & is_refused)
        .then(pl.lit("tax_id_invalid"))
        .when((treatment == "export") & is_consumer & buyer.is_in([*union, "GB"]))
        .then(pl.lit("tax_registration_unknown"))
    )
