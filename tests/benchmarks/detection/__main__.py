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

from tests.benchmarks.detection import noisy, smooth, sparse, tables
from tests.benchmarks.detection.injection import Injected, inject
from tests.benchmarks.detection.judges import anomaly_scores, prepared, raw_forest, robust_z
from tests.benchmarks.detection.metrics import Figures, figures
from tests.benchmarks.detection.series import Series

Make = Callable[[int], Series]


@dataclass
class Results:
    """What is collected over the seeds of one series."""

    figures: dict[str, list[Figures]] = field(default_factory=dict)

    def add(self, judge: str, one: Figures) -> None:
        self.figures.setdefault(judge, []).append(one)


def run(make: Make, seeds: range) -> None:
    """Plant, judge and print, seed by seed."""
    results = Results()
    for seed in seeds:
        series = make(seed)
        injected = inject(series, seed)
        judge(injected, seed, results)
        alone = results.figures["Prebill, invoices alone"][-1]
        print(f"{series.name}, seed {seed}: {alone.average_precision:.3f}", file=sys.stderr)
    print(f"## {describe(series, injected, seeds)}\n")
    for table in (tables.summary, tables.by_fault, tables.alarms):
        print(table(results.figures) + "\n", flush=True)


def judge(injected: Injected, seed: int, results: Results) -> None:
    """Let everybody judge the same invoices."""
    alone = injected.inputs(with_events=False)
    results.add("robust z", figures(injected, robust_z(alone)))
    results.add("forest on raw amounts", figures(injected, raw_forest(alone, seed)))
    scored = prepared(alone, seed).judged()
    results.add("Prebill, invoices alone", figures(injected, anomaly_scores(scored)))
    if injected.series.meters:
        scored = prepared(injected.inputs(with_events=True), seed).judged()
        results.add("Prebill, with usage events", figures(injected, anomaly_scores(scored)))


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
