"""What a policy knows of a draft beside its scores: whose it is, on which terms, since when.

Null says that it is not known, never that it is not so: a rule that needs it could not judge.
Nothing here is personal; a decision's circumstances are kept as long as the decision.
"""

from typing import Final

import polars as pl

from prebill.core.schemas.frame import Frame, boolean, collected, floating, integer, minor, text
from prebill.core.schemas.frame import optional as null
from prebill.core.scoring.detectors.base import Scene
from prebill.core.scoring.detectors.level import ordinary_minor

CIRCUMSTANCES: Final = Frame(
    "circumstances",
    "What a policy may ask of a draft beside its scores; columns of the frame that it decides on.",
    ("invoice_id",),
    (
        text("invoice_id", "draft"),
        null(text("legal_entity", "who invoices")),
        null(text("segment", "the customer's segment")),
        null(text("plans", "plans billed, sorted, comma separated; null: not known which")),
        null(text("products", "products or charges billed, likewise; null: no lines")),
        null(minor("tax_minor", "tax of the draft")),
        null(minor("credit_minor", "sum of its negative lines, >= 0; null: no lines")),
        null(minor("ordinary_minor", "own median, portfolio's move, season and agreed change on")),
        null(integer("tenure_days", "since sign-up or the first invoice of the last 640 days")),
        null(integer("earlier_invoices", "of the customer in the last 640 days; null: no history")),
        null(integer("payment_days", "from issue to due date")),
        null(floating("discount_percent", "largest of its lines, 0 to 100; null: not told")),
        null(boolean("has_contract_change", "its contract changed since the last; null: no terms")),
        null(boolean("has_country", "the customer's country is known; null: no such customer")),
        null(boolean("has_tax_id", "the customer's tax id is known; null: no such customer")),
        null(text("snoozed_rules", "rules that are snoozed for it, comma separated; null: none")),
    ),
)


def circumstances(scene: Scene) -> pl.DataFrame:
    """Gather the circumstances of the drafts.

    Parameters
    ----------
    scene : Scene
        Rows carry ``earlier_invoices, first_on, last_on`` (:func:`earlier.earlier`).

    Returns
    -------
    pl.DataFrame, ``CIRCUMSTANCES``, one row per draft
    """
    drafts = scene.drafts
    has_history = bool(scene.norms.judges) or not scene.inputs.history.invoices.is_empty()
    since = pl.min_horizontal("signed_up_on", "first_on")
    if has_history:
        since = pl.coalesce(since, "issued_on")
    taxed = pl.coalesce(pl.col("total_minor") / pl.col("subtotal_minor"), pl.lit(1.0)).fill_nan(1.0)
    agreed = pl.col("agreed_change_minor").fill_null(0.0) * taxed
    customers = scene.inputs.customers.lazy().select(
        "customer_id",
        "segment",
        "signed_up_on",
        has_country=pl.col("country").is_not_null(),
        has_tax_id=pl.col("tax_id").is_not_null(),
    )
    plan = drafts.lazy().join(customers, on="customer_id", how="left", maintain_order="left")
    for part in (_of_lines(scene), _of_plans(scene), _changes(scene)):
        plan = plan.join(part, on="invoice_id", how="left", maintain_order="left")
    snoozed = scene.inputs.snoozes.lazy().group_by("customer_id")
    snoozed_now = snoozed.agg(snoozed_rules=_listed("rule_id"))
    plan = plan.join(snoozed_now, on="customer_id", how="left", maintain_order="left")
    known = plan.with_columns(
        ordinary_minor=pl.when(pl.col("total_center").is_not_null()).then(ordinary_minor(agreed)),
        tenure_days=(pl.col("issued_on") - since).dt.total_days().clip(0),
        earlier_invoices=pl.col("earlier_invoices") if has_history else pl.lit(None),
        payment_days=(pl.col("due_on") - pl.col("issued_on")).dt.total_days(),
    )
    return CIRCUMSTANCES.conform(collected(known))


def _of_lines(scene: Scene) -> pl.LazyFrame:
    """``invoice_id, products, credit_minor`` of drafts that have lines."""
    amount = pl.col("amount_minor")
    lines = scene.inputs.drafts.lines.lazy()
    return lines.group_by("invoice_id").agg(
        products=_listed("product"), credit_minor=-amount.filter(amount < 0).sum()
    )


def _of_plans(scene: Scene) -> pl.LazyFrame:
    """``invoice_id, plans, discount_percent``, where this company's own billing drafted."""
    if scene.inputs.agreements is None:
        return _UNKNOWN_PLANS.lazy()
    lines = scene.inputs.agreements.draft_lines.lazy()
    return lines.group_by(invoice_id="draft_id").agg(
        plans=_listed("plan_id"), discount_percent=pl.col("discount_percent").cast(pl.Float64).max()
    )


def _changes(scene: Scene) -> pl.LazyFrame:
    """``invoice_id, has_contract_change`` of drafts whose customer's contract terms are known.

    A term that begins, ends or loses its discount in the billed period, or that became known since
    the customer's last invoice, was in no invoice before.
    """
    terms = scene.inputs.terms
    if terms.is_empty():
        return _UNKNOWN_CHANGES.lazy()
    drafts = scene.drafts.select(
        "invoice_id",
        "customer_id",
        "issued_on",
        "last_on",
        start_on=pl.coalesce("period_start_on", pl.col("issued_on").dt.offset_by("-1mo")),
        end_on=pl.coalesce("period_end_on", pl.col("issued_on").dt.offset_by("1d")),
    )
    known = drafts.lazy().join(terms.lazy(), on="customer_id")
    if scene.inputs.agreements is not None:
        own = scene.inputs.agreements.drafts.lazy().select("contract_id", invoice_id="draft_id")
        known = known.join(own, on=["invoice_id", "contract_id"], how="semi")
    ends = [_within(name) for name in ("effective_from_on", "effective_to_on")]
    discount_ends = _within("discount_ends_on") & (pl.col("discount_percent") > 0)
    recorded_on = pl.col("recorded_at").dt.date()
    is_news = (recorded_on > pl.col("last_on")) & (recorded_on <= pl.col("issued_on"))
    is_changed = pl.any_horizontal(*ends, discount_ends, is_news).fill_null(value=False)
    return known.group_by("invoice_id").agg(has_contract_change=is_changed.any())


def _within(name: str) -> pl.Expr:
    """Whether a day lies in the draft's period."""
    return (pl.col(name) >= pl.col("start_on")) & (pl.col(name) < pl.col("end_on"))


def _listed(name: str) -> pl.Expr:
    return pl.col(name).drop_nulls().unique().sort().str.join(",")


_UNKNOWN_PLANS: Final = pl.DataFrame(
    schema={"invoice_id": pl.String, "plans": pl.String, "discount_percent": pl.Float64}
)
_UNKNOWN_CHANGES: Final = pl.DataFrame(
    schema={"invoice_id": pl.String, "has_contract_change": pl.Boolean}
)
