"""Average precision of ``anomaly_score`` on real invoices with injected faults.

    python tests/benchmarks/variance.py ../shared/data/retail --seeds 10

The injector knows nothing of detectors: it alters invoices as faults do in life, from quantities
and prices up, so that subtotal, tax and total follow. Everything is drawn from the seed.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from prebill.core.money import DECIMAL
from prebill.core.policy.model import Policy
from prebill.core.schemas.inbound import CUSTOMERS, INVOICE_LINES, INVOICES
from prebill.core.scoring.frames import Books, ScoringInputs
from prebill.core.scoring.models import Models, fit_level
from prebill.core.scoring.scene import scene_of
from prebill.core.scoring.scorer import Scored, score_scene

SHARE = 0.02
HELD_OUT_FROM = date(2011, 7, 1)


@dataclass
class Draft:
    """One invoice, open to alteration."""

    head: dict
    lines: list[dict]
    previous: list[dict]
    rng: np.random.Generator

    def scale_quantity(self, lines: list[dict], factor: float) -> None:
        for line in lines:
            line["quantity"] = max(round(line["quantity"] * factor), 1)

    def some_lines(self, low: float, high: float) -> list[dict]:
        count = max(1, round(len(self.lines) * self.rng.uniform(low, high)))
        start = self.rng.integers(0, len(self.lines) - count + 1)
        return self.lines[start : start + count]


def duplicate_day(draft: Draft) -> None:
    draft.scale_quantity(draft.some_lines(0.2, 0.6), 2)


def usage_twice(draft: Draft) -> None:
    draft.scale_quantity(draft.lines, 2)


def missing_days(draft: Draft) -> None:
    kept = draft.some_lines(0.2, 0.6)
    draft.lines[:] = kept


def unit_error(draft: Draft) -> None:
    factor = draft.rng.choice([10, 100, 1000, 0.1, 0.001])
    is_whole = draft.rng.random() < 0.7
    largest = max(draft.lines, key=lambda line: line["quantity"] * line["unit_price"])
    draft.scale_quantity(draft.lines if is_whole else [largest], float(factor))


def wrong_price(draft: Draft) -> None:
    factor = draft.rng.uniform(1.1, 1.6) ** draft.rng.choice([-1, 1])
    lines = draft.lines if draft.rng.random() < 0.5 else draft.some_lines(0.05, 0.5)
    for line in lines:
        line["unit_price"] = round(line["unit_price"] * factor, 2)


def wrong_currency(draft: Draft) -> None:
    if draft.rng.random() < 0.5:
        draft.head["currency"] = "EUR"
        return
    for line in draft.lines:
        line["unit_price"] = round(line["unit_price"] * 1.17, 2)


def stuck_meter(draft: Draft) -> None:
    if not draft.previous:
        return usage_twice(draft)
    draft.lines[:] = [dict(line) for line in draft.previous]
    return None


def wrong_tax(draft: Draft) -> None:
    for line in draft.lines:
        is_standard = line["tax_code"] == "GB-S"
        line["tax_code"], line["rate"] = ("EXPORT-0", 0.0) if is_standard else ("GB-S", 0.2)


def double_billing(draft: Draft) -> None:
    if draft.rng.random() < 0.5:
        draft.lines.extend(dict(line) for line in list(draft.lines))
        return
    draft.head["invoice_id"] += "-again"


FAULTS: dict[str, Callable[[Draft], None]] = {
    "duplicate day": duplicate_day,
    "usage x2": usage_twice,
    "missing days": missing_days,
    "unit error": unit_error,
    "price or plan": wrong_price,
    "currency": wrong_currency,
    "stuck meter": stuck_meter,
    "wrong tax": wrong_tax,
    "double billing": double_billing,
}


def inject(
    invoices: pl.DataFrame, lines: pl.DataFrame, ids: list[str], seed: int
) -> tuple[Books, dict[str, str]]:
    """Alter a share of the invoices ``ids``; return all books and fault by invoice id."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(ids, size=round(len(ids) * SHARE), replace=False).tolist()
    names = [list(FAULTS)[index % len(FAULTS)] for index in rng.permutation(len(chosen))]
    heads = {row["invoice_id"]: row for row in invoices.to_dicts()}
    by_invoice = lines.partition_by("invoice_id", as_dict=True)
    last = previous_ids(invoices)
    new_heads, new_lines, faults = [], [], {}
    for invoice_id, name in zip(chosen, names, strict=True):
        previous = by_invoice.get((last.get(invoice_id),))
        draft = Draft(
            dict(heads[invoice_id]),
            by_invoice[(invoice_id,)].to_dicts(),
            previous.to_dicts() if previous is not None else [],
            rng,
        )
        for line in (*draft.lines, *draft.previous):
            line["unit_price"] = float(line["unit_price"])
            line["quantity"] = float(line["quantity"])
            line["rate"] = 0.2 if line["tax_code"] == "GB-S" else 0.0
        FAULTS[name](draft)
        finish(draft)
        new_heads.append(draft.head)
        new_lines.extend(draft.lines)
        faults[draft.head["invoice_id"]] = name
    altered = pl.Series("invoice_id", [i for i in chosen if i in faults])
    heads_frame = INVOICES.conform(pl.DataFrame(new_heads, schema_overrides=dict(INVOICES.schema)))
    lines_frame = pl.DataFrame(new_lines).with_columns(
        pl.col("quantity", "unit_price").cast(DECIMAL)
    )
    return Books(
        pl.concat([invoices.filter(~pl.col("invoice_id").is_in(altered.implode())), heads_frame]),
        pl.concat(
            [
                lines.filter(~pl.col("invoice_id").is_in(altered.implode())),
                INVOICE_LINES.conform(lines_frame),
            ]
        ),
    ), faults


def finish(draft: Draft) -> None:
    """Amounts follow from quantities and prices; the document adds up."""
    for number, line in enumerate(draft.lines, 1):
        line["invoice_id"] = draft.head["invoice_id"]
        line["line_id"] = str(number)
        line["amount_minor"] = round(line["quantity"] * line["unit_price"] * 100)
        line["tax_minor"] = round(line["amount_minor"] * line["rate"])
    subtotal = sum(line["amount_minor"] for line in draft.lines)
    tax = sum(line["tax_minor"] for line in draft.lines)
    draft.head |= {"subtotal_minor": subtotal, "tax_minor": tax, "total_minor": subtotal + tax}


def previous_ids(invoices: pl.DataFrame) -> dict[str, str]:
    shifted = invoices.sort("customer_id", "issued_on").with_columns(
        previous=pl.col("invoice_id").shift(1).over("customer_id")
    )
    return dict(shifted.select("invoice_id", "previous").iter_rows())


def average_precision(is_fault: np.ndarray, scores: np.ndarray) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(is_fault, scores))


def run(folder: Path, seed: int) -> tuple[Scored, pl.DataFrame, pl.DataFrame]:
    invoices = INVOICES.conform(pl.read_parquet(folder / "invoices.parquet"))
    raw = pl.read_parquet(folder / "invoice_lines.parquet")
    lines = INVOICE_LINES.conform(
        raw.with_columns(
            pl.col("line_id").cast(pl.String), pl.col("quantity", "unit_price").cast(DECIMAL)
        )
    )
    customers = CUSTOMERS.conform(pl.read_parquet(folder / "customers.parquet"))
    held_out = invoices.filter(pl.col("issued_on") >= HELD_OUT_FROM)
    books, faults = inject(invoices, lines, held_out["invoice_id"].to_list(), seed)
    is_draft = pl.col("issued_on") >= HELD_OUT_FROM
    drafts = Books(books.invoices.filter(is_draft), books.lines)
    history = Books(books.invoices.filter(~is_draft), books.lines)
    scene = scene_of(ScoringInputs(history, drafts, customers=customers))
    scored = score_scene(scene, Models(forest=fit_level(scene.rows, seed)), Policy.default())
    labelled = scored.decisions.select(
        "invoice_id",
        "action",
        "confidence",
        score=pl.col("anomaly_score"),
        fault=pl.col("invoice_id").replace_strict(faults, default=None, return_dtype=pl.String),
    )
    # The first of a doubled pair is as unusual as the second: it is neither right nor wrong.
    firsts = [i.removesuffix("-again") for i in faults if i.endswith("-again")]
    return scored, labelled.filter(~pl.col("invoice_id").is_in(firsts)), scene.rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=1)
    arguments = parser.parse_args()
    parts, precisions, top, recalls = [], [], [], []
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        _, labelled, _ = run(arguments.folder, seed)
        is_fault = labelled["fault"].is_not_null().to_numpy()
        scores = labelled["score"].to_numpy()
        precisions.append(average_precision(is_fault, scores))
        order = np.argsort(-scores)
        top.append(is_fault[order[: len(order) // 100]].mean())
        limit = np.quantile(scores[~is_fault], 0.99)
        recalls.append((scores[is_fault] > limit).mean())
        parts.append(labelled)
        print(f"seed {seed}: average precision {precisions[-1]:.3f}", file=sys.stderr)
    print(
        f"average precision {np.mean(precisions):.3f} (sd {np.std(precisions):.3f}), precision in "
        f"the top 1 % {np.mean(top):.2f}, recall at 1 % false positives {np.mean(recalls):.2f}"
    )
    everything = pl.concat(parts)
    kept = everything.filter(pl.col("fault").is_null())
    clean = kept["action"].value_counts(normalize=True).sort("action")
    print("clean invoices:", dict(clean.iter_rows()))
    with pl.Config(tbl_rows=20, tbl_hide_dataframe_shape=True):
        by_fault = everything.filter(pl.col("fault").is_not_null()).group_by("fault")
        held = (pl.col("action") == "hold").mean().round(2)
        stopped = (pl.col("action") != "release").mean().round(2)
        print(
            by_fault.agg(
                pl.len(), median_score=pl.col("score").median().round(4), held=held, stopped=stopped
            ).sort("fault")
        )


if __name__ == "__main__":
    main()
