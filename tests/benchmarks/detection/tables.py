"""Markdown tables of the benchmark's figures: means over seeds, with the deviation of a seed."""

from collections.abc import Mapping, Sequence

from tests.benchmarks.detection.metrics import Figures, mean, mean_and_spread
from tests.benchmarks.markdown import table

ByJudge = Mapping[str, Sequence[Figures]]


def summary(judges: ByJudge) -> str:
    """Average precision, precision in the top, recall, and alarms on drifting rows."""
    header = [
        *("judge", "average precision (sd)", "precision in the top 1 %"),
        *("recall at 1 % false positives", "alarms on drifting rows", "on others", "ratio"),
    ]
    return table(header, (_summary_row(name, seeds) for name, seeds in judges.items()))


def _summary_row(name: str, seeds: Sequence[Figures]) -> list[str]:
    precision = [one.average_precision for one in seeds]
    drifting = mean([one.alarms.get("drift", 0.0) for one in seeds])
    others = mean([one.alarms["not drifting"] for one in seeds])
    return [
        name,
        mean_and_spread(precision),
        f"{mean([one.top_precision for one in seeds]):.2f}",
        f"{mean([one.recall for one in seeds]):.2f}",
        f"{drifting:.2%}",
        f"{others:.2%}",
        f"{drifting / others:.1f}" if others else "–",
    ]


def by_fault(judges: ByJudge) -> str:
    """Share of each kind of fault above the limit of one percent false positives."""
    kinds = sorted({kind for seeds in judges.values() for one in seeds for kind in one.by_fault})
    return table(
        ["recall at 1 % false positives", *judges],
        (
            [kind, *(_mean_of([s.by_fault for s in seeds], kind) for seeds in judges.values())]
            for kind in kinds
        ),
    )


def alarms(judges: ByJudge) -> str:
    """Alarm rate of each kind of right invoice, where one percent of all right ones alarm."""
    kinds = sorted({kind for seeds in judges.values() for one in seeds for kind in one.alarms})
    return table(
        ["alarm rate of right invoices", *judges],
        (
            [kind, *(_mean_of([s.alarms for s in seeds], kind, 1) for seeds in judges.values())]
            for kind in kinds
        ),
    )


def by_step(steps: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Average precision after each group of detectors was added."""
    judges = list(next(iter(steps.values())))
    return table(
        ["average precision (sd)", *judges],
        ([step, *(mean_and_spread(by[name]) for name in judges)] for step, by in steps.items()),
    )


def _mean_of(seeds: Sequence[Mapping[str, float]], kind: str, digits: int = 0) -> str:
    found = [one[kind] for one in seeds if kind in one]
    return f"{mean(found):.{digits}%}" if found else "–"
