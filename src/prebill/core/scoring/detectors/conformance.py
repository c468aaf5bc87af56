"""Contract conformance: the draft's lines against the lines that the CRM contract prices to.

Both sides come from the same formulas, so every difference is a difference of terms: a charge that
is absent, another price, quantity or discount, a contract billed twice, another currency.
"""

from typing import Final

import polars as pl

from prebill.core.scoring.agreed import ROUNDING_MINOR, compared, first_drafts
from prebill.core.scoring.detectors.base import Detector, Judged, Scene, findings_of, tails_of
from prebill.core.scoring.features.declaration import AGREED, LINES
from prebill.core.scoring.frames import Agreements
from prebill.core.scoring.words import figure_text, money_text, over_under, percent_text

#: Exact judges have no past to calibrate on; what they state is nearly certain.
CERTAIN: Final = 0.9999
NAME: Final = "conformance"


def judge(scene: Scene) -> Judged:
    """Compare drafts with what was agreed; without agreements there is nothing to say."""
    agreements = scene.inputs.agreements
    if agreements is None:
        return Judged()
    findings = pl.concat(
        [_differences(agreements), _contracts_twice(agreements), _currencies(agreements)]
    )
    known = agreements.expected_drafts.select("contract_id").unique()
    judged = agreements.drafts.join(known, on="contract_id", how="semi")
    worst = findings.group_by("invoice_id").agg(tail=pl.col("score").max())
    tails = judged.select(invoice_id="draft_id").join(worst, on="invoice_id", how="left")
    return Judged(tails_of(tails, tails["tail"].fill_null(0.0)), findings)


def _differences(agreements: Agreements) -> pl.DataFrame:
    rows = compared(agreements).filter(
        pl.col("draft_id").is_not_null(), "is_comparable", pl.col("customer_id").is_not_null()
    )
    off = (pl.col("amount_minor").fill_null(0) - pl.col("amount_minor_agreed").fill_null(0)).alias(
        "off_minor"
    )
    different = rows.with_columns(off).filter(pl.col("off_minor").abs() > ROUNDING_MINOR)
    return findings_of(
        different.with_columns(code=_code()).select(
            "code",
            invoice_id="draft_id",
            score=pl.lit(CERTAIN),
            basis=pl.lit("exact"),
            amount_minor="off_minor",
            expected=_agreed_text(),
            line_ids=pl.col("line_ids").fill_null(""),
            evidence=pl.concat_str(pl.lit("contract "), "contract_id"),
            text=pl.concat_str(
                pl.coalesce("name", "name_agreed"),
                pl.lit(": "),
                _difference_text(),
                pl.lit("; "),
                over_under(pl.col("off_minor"), pl.col("currency")),
            ),
        ),
        NAME,
    )


def _code() -> pl.Expr:
    """Which term differs; the first that does explains the money."""
    discount, agreed = pl.col("discount_percent"), pl.col("discount_percent_agreed")
    terms = (pl.col("plan_id") != pl.col("plan_id_agreed")) | (
        pl.col("price_book_id") != pl.col("price_book_id_agreed")
    )
    prices = (pl.col("unit_price") != pl.col("unit_price_agreed")).fill_null(value=False)
    return (
        pl.when(pl.col("amount_minor").is_null())
        .then(pl.lit("expected_charge_absent"))
        .when(pl.col("amount_minor_agreed").is_null())
        .then(pl.lit("billed_not_contracted"))
        .when(discount > agreed)
        .then(pl.lit("discount_past_its_end"))
        .when(discount < agreed)
        .then(pl.lit("discount_differs_from_contract"))
        .when(terms | (prices & (pl.col("quantity") == pl.col("quantity_agreed"))))
        .then(pl.lit("price_differs_from_contract"))
        .when(pl.col("quantity") != pl.col("quantity_agreed"))
        .then(pl.lit("quantity_differs_from_contract"))
        .otherwise(pl.lit("amount_differs_from_contract"))
    )


def _agreed_text() -> pl.Expr:
    amount = money_text(pl.col("amount_minor_agreed").fill_null(0), pl.col("currency"))
    return (
        pl.when(pl.col("code").str.starts_with("discount"))
        .then(percent_text(pl.col("discount_percent_agreed").cast(pl.Float64) / 100))
        .when(pl.col("code") == "quantity_differs_from_contract")
        .then(figure_text(pl.col("quantity_agreed")))
        .otherwise(amount)
    )


def _difference_text() -> pl.Expr:
    billed = money_text(pl.col("amount_minor").fill_null(0), pl.col("currency"))
    agreed = money_text(pl.col("amount_minor_agreed").fill_null(0), pl.col("currency"))
    code = pl.col("code")
    percent = {
        side: percent_text(pl.col(f"discount_percent{side}").cast(pl.Float64) / 100)
        for side in ("", "_agreed")
    }
    return (
        pl.when(code == "expected_charge_absent")
        .then(pl.concat_str(pl.lit("the contract expects "), agreed, pl.lit(", no line bills it")))
        .when(code == "billed_not_contracted")
        .then(pl.concat_str(billed, pl.lit(" billed that the contract does not have")))
        .when(code.str.starts_with("discount"))
        .then(
            pl.concat_str(
                pl.lit("discount of "),
                percent[""],
                pl.lit(" given, the contract has "),
                percent["_agreed"],
            )
        )
        .when(code == "quantity_differs_from_contract")
        .then(
            pl.concat_str(
                figure_text(pl.col("quantity")),
                pl.lit(" billed, the contract has "),
                figure_text(pl.col("quantity_agreed")),
            )
        )
        .otherwise(
            pl.concat_str(
                billed,
                pl.lit(" by "),
                pl.col("plan_id"),
                pl.lit(" of "),
                pl.col("price_book_id"),
                pl.lit(", the contract's "),
                pl.col("plan_id_agreed"),
                pl.lit(" of "),
                pl.col("price_book_id_agreed"),
                pl.lit(" gives "),
                agreed,
                ignore_nulls=True,
            )
        )
    )


def _contracts_twice(agreements: Agreements) -> pl.DataFrame:
    """Every draft of a contract beyond the one of its oldest subscription."""
    firsts = first_drafts(agreements).select(
        "contract_id", "currency", first_id="draft_id", first_subscription_id="subscription_id"
    )
    seconds = agreements.drafts.join(firsts, on=["contract_id", "currency"]).filter(
        pl.col("subscription_id") != pl.col("first_subscription_id")
    )
    # An agreement of two subscriptions with different charges is no duplicate: a charge must recur.
    own = agreements.draft_lines.select("draft_id", "charge_id")
    shared = (
        seconds.select("draft_id", "first_id")
        .join(own, on="draft_id")
        .join(own.rename({"draft_id": "first_id"}), on=["first_id", "charge_id"], how="semi")
    )
    doubled = seconds.join(shared.select("draft_id").unique(), on="draft_id", how="semi")
    return findings_of(
        doubled.select(
            invoice_id="draft_id",
            score=pl.lit(CERTAIN),
            basis=pl.lit("exact"),
            code=pl.lit("duplicate_contract"),
            amount_minor="total_minor",
            expected=pl.lit("one invoice a contract and period"),
            evidence=pl.concat_str(pl.col("first_id"), pl.lit(","), pl.col("contract_id")),
            text=pl.concat_str(
                pl.lit("contract "),
                pl.col("contract_id"),
                pl.lit(" is billed twice: subscription "),
                pl.col("subscription_id"),
                pl.lit(" beside "),
                pl.col("first_subscription_id"),
                pl.lit("; "),
                over_under(pl.col("total_minor"), pl.col("currency")),
            ),
        ),
        NAME,
    )


def _currencies(agreements: Agreements) -> pl.DataFrame:
    contracts = agreements.contracts.sort("recorded_at").unique("contract_id", keep="last")
    other = agreements.drafts.join(
        contracts.select("contract_id", agreed="currency"), on="contract_id"
    ).filter(pl.col("currency") != pl.col("agreed"))
    return findings_of(
        other.select(
            invoice_id="draft_id",
            score=pl.lit(CERTAIN),
            basis=pl.lit("exact"),
            code=pl.lit("currency_differs_from_contract"),
            expected="agreed",
            evidence=pl.concat_str(pl.lit("contract "), "contract_id"),
            text=pl.concat_str(
                pl.lit("billed in "),
                pl.col("currency"),
                pl.lit(", the contract is in "),
                pl.col("agreed"),
                pl.lit("; the whole total of "),
                money_text(pl.col("total_minor"), pl.col("currency")),
                pl.lit(" is in question"),
            ),
        ),
        NAME,
    )


CONFORMANCE: Final = Detector(
    NAME, "agreements: contract terms priced beside the drafts", judge, sources=(*LINES, *AGREED)
)
