"""``python -m tests.benchmarks.detection``: how well faults are found, per kind of series.

--series noisy|smooth|sparse   one kind only
--retail DIR                   real invoices for the sparse series; left out without
--seeds N --first K            seeds K to K+N-1: each its own company and its own faults
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from prebill.core.scoring.frames import Books
from prebill.core.triage.false_holds import false_hold_rates
from tests.benchmarks.detection import ablation, noisy, smooth, sparse, tables
from tests.benchmarks.detection.injection import Injected, inject
from tests.benchmarks.detection.judges import anomaly_scores, prepared, raw_forest, robust_z
from tests.benchmarks.detection.metrics import Figures, figures
from tests.benchmarks.detection.series import Series
from tests.benchmarks.false_holds import POLICY, rates_table
from tests.benchmarks.rival import Reviewed, audit, compare, money_table

Make = Callable[[int], Series]


ALONE = "Prebill, invoices alone"
WITH_EVENTS = "Prebill, with usage events"
SEGMENTS = {"history": "confidence", "currency": "currency", "size": "size", "odd": "kind"}


@dataclass
class Results:
    """What is collected over the seeds of one series."""

    judges: dict[str, list[Figures]] = field(default_factory=dict)
    steps: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    reviewed: list[Reviewed] = field(default_factory=list)
    clean: list[pl.DataFrame] = field(default_factory=list)

    def add(self, judge: str, one: Figures) -> None:
        self.judges.setdefault(judge, []).append(one)

    def add_step(self, judge: str, step: str, precision: float) -> None:
        self.steps.setdefault(step, {}).setdefault(judge, []).append(precision)


def run(make: Make, seeds: range) -> None:
    """Plant, judge and print, seed by seed."""
    results = Results()
    for seed in seeds:
        series = make(seed)
        injected = inject(series, seed)
        judge(injected, seed, results)
        alone = results.judges[ALONE][-1]
        print(f"{series.name}, seed {seed}: {alone.average_precision:.3f}", file=sys.stderr)
    print(f"## {describe(series, injected, seeds)}\n")
    for show in (tables.summary, tables.by_fault, tables.alarms):
        print(show(results.judges) + "\n", flush=True)
    print(tables.by_step(results.steps) + "\n")
    print(money_table(results.reviewed) + "\n")
    # Real invoices are the same ones for every seed: they count once.
    clean = pl.concat(results.clean if series.is_simulated else results.clean[:1])
    print(rates_table(false_hold_rates(clean, SEGMENTS, POLICY)) + "\n", flush=True)


def judge(injected: Injected, seed: int, results: Results) -> None:
    """Let everybody judge the same invoices."""
    inputs = {ALONE: injected.inputs(with_events=False)}
    if injected.series.meters:
        inputs[WITH_EVENTS] = injected.inputs(with_events=True)
    results.add("robust z", figures(injected, robust_z(inputs[ALONE])))
    forest = figures(injected, raw_forest(inputs[ALONE], seed))
    results.add("forest on raw amounts", forest)
    orders = {}
    for name, given in inputs.items():
        ready = prepared(given, seed)
        scored = ready.judged()
        whole = figures(injected, anomaly_scores(scored))
        results.add(name, whole)
        orders[f"{name}, by priority"] = by_priority(scored.decisions)
        results.add_step(name, "forest on raw amounts", forest.average_precision)
        for step, detectors in ablation.steps().items():
            is_whole = step == ablation.ALL
            one = whole if is_whole else figures(injected, anomaly_scores(ready.judged(detectors)))
            results.add_step(name, step, one.average_precision)
    results.reviewed.append(compare(audited(injected), losses(injected), orders))
    results.clean.append(clean_rows(injected, scored.decisions))


def by_priority(decisions: pl.DataFrame) -> list[str]:
    """Drafts in the order in which reviewers would take them."""
    order = ["priority", "anomaly_score", "invoice_id"]
    return decisions.sort(order, descending=[True, True, False])["invoice_id"].to_list()


def audited(injected: Injected) -> pl.DataFrame:
    """What the rival's rules say of the drafts."""
    meters = injected.series.meters
    is_usage = pl.col("product").is_in(list(meters)) if meters else pl.lit(value=True)
    rows = audit(Books(injected.invoices, injected.lines), is_usage)
    drafts = injected.invoices.filter(pl.col("issued_on") >= injected.series.held_out_from)
    judged = drafts.filter(~pl.col("invoice_id").is_in(injected.unjudged))
    return rows.join(judged.select("invoice_id"), on="invoice_id", how="semi")


def losses(injected: Injected) -> dict[str, float]:
    """Wrong money by draft, in major units; currencies are added up as they stand."""
    rows = injected.truth.select("invoice_id", pl.col("error_minor") / 100)
    return dict(rows.iter_rows())


def clean_rows(injected: Injected, decisions: pl.DataFrame) -> pl.DataFrame:
    """Right drafts with what they are divided by; an invoice odd in two ways counts once."""
    oddest = injected.series.benign.sort("invoice_id", "kind").unique("invoice_id", keep="first")
    wrong = pl.concat([injected.truth["invoice_id"], pl.Series(injected.unjudged, dtype=pl.String)])
    third = ((pl.col("total_minor").rank("ordinal") - 1) * 3 // pl.len()).cast(pl.Int64)
    return (
        decisions.join(injected.invoices.select("invoice_id", "total_minor"), on="invoice_id")
        .with_columns(size=third.replace_strict({0: "small", 1: "middle", 2: "large"}))
        .filter(~pl.col("invoice_id").is_in(wrong.implode()))
        .join(oddest, on="invoice_id", how="left")
        .select("action", "confidence", "currency", "size", pl.col("kind").fill_null("nothing"))
    )


def describe(series: Series, injected: Injected, seeds: range) -> str:
    kind = "simulated" if series.is_simulated else "real invoices, planted faults"
    return (
        f"{series.name} ({kind}): {series.invoices.height:,} invoices, {series.held_out.height:,} "
        f"of them judged, {injected.truth.height} faulty; seeds {seeds[0]} to {seeds[-1]}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.detection")
    parser.add_argument("--series", choices=["noisy", "smooth", "sparse"])
    parser.add_argument("--retail", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=1)
    arguments = parser.parse_args()
    kinds: dict[str, Make] = {"noisy": noisy.make, "smooth": smooth.make}
    if arguments.retail is not None:
        retail = sparse.load(arguments.retail)
        kinds["sparse"] = lambda _: retail
    elif arguments.series == "sparse":
        parser.error("the sparse series needs --retail DIR")
    else:
        print("sparse series left out: give --retail DIR\n")
    for name, make in kinds.items():
        if arguments.series in {None, name}:
            run(make, range(arguments.first, arguments.first + arguments.seeds))


if __name__ == "__main__":
    main()
