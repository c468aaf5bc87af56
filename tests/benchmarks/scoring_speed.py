"""Seconds to score a large batch: features, models, decisions.

    python tests/benchmarks/scoring_speed.py --drafts 100000 --months 6

Numbers are drawn from a seed; every customer has a base fee and two metered charges a month.
"""

import argparse
import resource
import time
from datetime import date

import numpy as np
import polars as pl

from prebill.core.calendar import add_months
from prebill.core.money import DECIMAL
from prebill.core.policy.model import Policy
from prebill.core.schemas.inbound import INVOICE_LINES, INVOICES
from prebill.core.scoring.frames import Books, ScoringInputs
from prebill.core.scoring.models import Models, fit_level
from prebill.core.scoring.scene import scene_of
from prebill.core.scoring.scorer import score_scene

DRAFTED = date(2026, 1, 1)


def books(customers: int, month: int, level: np.ndarray, rng: np.random.Generator) -> Books:
    end = add_months(DRAFTED, month)
    ids = [f"C{number:07}-{end:%Y%m}" for number in range(customers)]
    amounts = {"base": np.full(customers, 5000)}
    for name in ("calls", "storage"):
        amounts[name] = np.maximum(level * rng.lognormal(0, 0.2, customers), 1).astype(int) * 4
    lines = pl.concat(
        [
            pl.DataFrame(
                {
                    "invoice_id": ids,
                    "line_id": str(number),
                    "product": name,
                    "quantity": values // 4 if name != "base" else np.ones(customers, dtype=int),
                    "unit_price": 0.04 if name != "base" else 50.0,
                    "amount_minor": values,
                }
            )
            for number, (name, values) in enumerate(amounts.items(), 1)
        ]
    ).with_columns(
        pl.col("quantity", "unit_price").cast(DECIMAL), pl.col("amount_minor").cast(pl.Int64)
    )
    subtotal = sum(amounts.values())
    invoices = pl.DataFrame(
        {
            "invoice_id": ids,
            "customer_id": [f"C{number:07}" for number in range(customers)],
            "currency": "EUR",
            "issued_on": end,
            "due_on": add_months(end, 1),
            "period_start_on": add_months(end, -1),
            "period_end_on": end,
            "subtotal_minor": subtotal,
            "tax_minor": subtotal // 5,
            "total_minor": subtotal + subtotal // 5,
        }
    ).with_columns(pl.col("subtotal_minor", "tax_minor", "total_minor").cast(pl.Int64))
    return Books(INVOICES.conform(invoices), INVOICE_LINES.conform(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--drafts", type=int, default=100_000)
    parser.add_argument("--months", type=int, default=6)
    arguments = parser.parse_args()
    rng = np.random.default_rng(1)
    level = rng.lognormal(7, 0.8, arguments.drafts)
    months = [books(arguments.drafts, -n, level, rng) for n in range(arguments.months + 1)]
    past = Books(
        *(
            pl.concat(parts)
            for parts in zip(*((b.invoices, b.lines) for b in months[1:]), strict=True)
        )
    )
    started = time.perf_counter()
    scene = scene_of(ScoringInputs(past, months[0]))
    featured = time.perf_counter()
    forest = fit_level(scene.rows, 1)
    fitted = time.perf_counter()
    scored = score_scene(scene, Models(forest=forest), Policy.default())
    ended = time.perf_counter()
    print(f"{scored.decisions.height:,} drafts, {past.invoices.height:,} invoices of history")
    print(f"features {featured - started:.1f} s, fit {fitted - featured:.1f} s")
    print(f"models, payment figures and decisions {ended - fitted:.1f} s")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
