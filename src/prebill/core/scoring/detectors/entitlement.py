"""Entitlement: used beyond what was bought, where no line of the draft bills that meter."""

from typing import Final

import polars as pl

from prebill.core.scoring.detectors.base import Detector, Judged, Scene, findings_of, tails_of
from prebill.core.scoring.features.declaration import AGREED, ENTITLED, USAGE
from prebill.core.scoring.words import figure_text

STATED: Final = 0.99
NAME: Final = "entitlement"


def judge(scene: Scene) -> Judged:
    """Compare usage with what was provisioned."""
    agreements = scene.inputs.agreements
    if agreements is None or scene.usage.is_empty() or agreements.entitlements.is_empty():
        return Judged()
    billed = agreements.draft_lines.select(invoice_id="draft_id", meter="meter").unique()
    granted = (
        agreements.drafts.select("contract_id", "period_start_on", invoice_id="draft_id")
        .join(agreements.entitlements, on="contract_id")
        .filter(
            pl.col("effective_from_on") <= pl.col("period_start_on"),
            pl.col("effective_to_on").is_null()
            | (pl.col("effective_to_on") > pl.col("period_start_on")),
        )
        .select(
            "invoice_id",
            "entitlement_id",
            meter="feature",
            granted=pl.col("granted_quantity").cast(pl.Float64),
        )
    )
    used = (
        scene.usage.filter("is_draft")
        .join(granted, on=["invoice_id", "meter"])
        .join(billed, on=["invoice_id", "meter"], how="anti")
    )
    beyond = used.filter(pl.col("quantity") > pl.col("granted"))
    tails = used.group_by("invoice_id").agg(
        tail=(pl.col("quantity") > pl.col("granted")).any().cast(pl.Float64) * STATED
    )
    findings = findings_of(
        beyond.select(
            "invoice_id",
            score=pl.lit(STATED),
            basis=pl.lit("exact"),
            code=pl.lit("used_beyond_entitlement"),
            expected=figure_text(pl.col("granted")),
            evidence=pl.concat_str(pl.lit("entitlement "), "entitlement_id"),
            text=pl.concat_str(
                figure_text(pl.col("quantity")),
                pl.lit(" "),
                pl.col("meter"),
                pl.lit(" used, "),
                figure_text(pl.col("granted")),
                pl.lit(" bought, and no line bills the rest: under-billed"),
            ),
        ),
        NAME,
    )
    return Judged(tails_of(tails, tails["tail"]), findings)


ENTITLEMENT: Final = Detector(
    NAME,
    "agreements with entitlements, and usage events",
    judge,
    sources=(*USAGE, *AGREED, *ENTITLED),
)
