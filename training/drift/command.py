"""``python -m training drift``: measure, print a table, write Evidently's report, log to MLflow."""

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from prebill import registry
from prebill.core.errors import InputError, TransientError
from prebill.settings import Settings
from prebill.store import checks
from prebill.store.engine import Store
from training.drift import evidence, limits
from training.drift.gather import Seen, gather
from training.drift.judge import Judged, judge
from training.drift.limits import Check, Limits
from training.drift.statistics import binned

EXIT_ALARMS = 1


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    command.add_argument("--home", type=Path, help="installation; default PREBILL_HOME")
    command.add_argument("--window", default="", help="for example 7d; default: drift.toml")
    command.add_argument("--as-of", type=date.fromisoformat, help="as on that morning; else today")
    command.add_argument("--out", type=Path, help="folder of the reports; default HOME/drift")


def run(given: argparse.Namespace) -> int:
    """Print what drifted; 1 where an alarm stands, else 0."""
    settings = Settings.load(given.home)
    chosen = _with_window(limits.read(settings.model_specs_dir), given.window)
    as_of_on = given.as_of or datetime.now(UTC).date()
    seen = gather(given.home, chosen, as_of_on=as_of_on)
    judged = [
        judge(
            watch,
            chosen,
            evidence.stability,
            as_of_on=as_of_on,
            last=chosen.windows_in_a_row,
        )
        for watch in seen.watches
    ]
    for line in told(judged, seen, as_of_on):
        print(line)
    folder = given.out or settings.home / "drift"
    _report(settings, judged, chosen, folder=folder, as_of_on=as_of_on)
    if given.as_of is None:
        tell(settings, judged)
    return EXIT_ALARMS if any(not one.alarms.is_empty() for one in judged) else 0


def _with_window(chosen: Limits, window: str) -> Limits:
    if not window:
        return chosen
    found = re.fullmatch(r"([1-9]\d{0,3})d", window)
    if found is None:
        message = f"--window {window!r} is no number of days: write it as 7d"
        raise InputError(message, window=window)
    return replace(chosen, window_days=int(found[1]))


# ── What is said ─────────────────────────────────────────────────────────────────────────────


def told(judged: Sequence[Judged], seen: Seen, as_of_on: date) -> list[str]:
    """The table of the latest windows, and each alarm with what it asks for."""
    lines = [f"drift as of {as_of_on}"]
    for one in judged:
        lines += ["", f"{one.watched.name}: {one.windows.note}", *_table(one)]
    lines += ["", *seen.notes] if seen.notes else []
    alarms = [row for one in judged for row in one.alarms.iter_rows(named=True)]
    lines.append("")
    for row in alarms:
        lines.append(f"ALARM {row['action']}: {row['watched']} {row['check']} {row['name']}")
    lines.append(f"{len(alarms)} alarms" if alarms else "no alarm")
    return lines


def _table(one: Judged) -> list[str]:
    """A row a measure of the latest window, beside the window before."""
    measures = one.measures
    if measures.is_empty():
        return ["  no window to compare yet"] if one.windows.reference else []
    numbers = measures["window"].unique().sort()
    latest = measures.filter(pl.col("window") == numbers[-1])
    earlier = measures.filter(pl.col("window") != numbers[-1]).select(
        "check", "name", before="value"
    )
    shown = latest.join(
        earlier.unique(["check", "name"], keep="last", maintain_order=True),
        on=["check", "name"],
        how="left",
        maintain_order="left",
    )
    first = latest.row(0, named=True)
    quiet = pl.col("check").eq(Check.MISSING.value) & ~pl.col("is_beyond")
    lines = [
        f"  window {first['start_on']} to {first['end_on']} (exclusive), {first['rows']:,} rows",
        f"  {'check':<12}{'of':<24}{'before':>9}{'now':>9}   limit",
    ]
    lines += [_row(row) for row in shown.filter(~quiet).iter_rows(named=True)]
    rest = shown.filter(quiet).height
    if rest:
        lines.append(f"  {'missing':<12}{rest} features within their limit")
    return lines


def _row(row: dict[str, object]) -> str:
    values = [row["before"], row["value"]]
    shown = "".join(f"{'–' if value is None else f'{value:.3f}':>9}" for value in values)
    low, high = row["low"], row["high"]
    limit = f"{high:.3f}" if low is None else f"{low:.3f} to {high:.3f}"
    mark = "  ALARM" if row["is_alarm"] else "  beyond" if row["is_beyond"] else ""
    return f"  {row['check']:<12}{row['name']:<24}{shown}   {limit}{mark}"


def tell(settings: Settings, judged: Sequence[Judged]) -> None:
    """Let people be alerted of what drifted, until a later look finds nothing."""
    alarms = [row for one in judged for row in one.alarms.iter_rows(named=True)]
    told = [f"{row['watched']} {row['check']} {row['name']}: {row['action']}" for row in alarms]
    with Store.open(settings.database_url) as store, store.transaction() as tx:
        checks.record(tx, "drift", len(alarms), "; ".join(told[:5]), datetime.now(UTC))


# ── What is kept ─────────────────────────────────────────────────────────────────────────────


def _report(
    settings: Settings, judged: Sequence[Judged], chosen: Limits, *, folder: Path, as_of_on: date
) -> None:
    """Write Evidently's pages and the measures; log both to MLflow where it answers."""
    pages = {
        f"{one.watched.name}.html": page
        for one in judged
        if (page := _page(one, chosen)) is not None
    }
    measures = pl.concat([one.measures for one in judged]) if judged else None
    if measures is None or measures.is_empty():
        return
    folder.mkdir(parents=True, exist_ok=True)
    documents = {**pages, "measures.csv": measures.write_csv()}
    for name, text in documents.items():
        (folder / name).write_text(text, encoding="utf-8")
    print(f"reports in {folder}: {', '.join(sorted(documents))}")
    figures = {
        "alarms": float(sum(one.alarms.height for one in judged)),
        "measures": float(measures.height),
        "beyond": float(measures["is_beyond"].sum()),
    }
    parameters = {"as_of_on": as_of_on, "window_days": chosen.window_days}
    try:
        run_id = registry.record(settings, "drift", registry.Logged(parameters, figures, documents))
        print(f"logged to MLflow as run {run_id}")
    except TransientError as error:
        print(f"not logged: {error}", file=sys.stderr)


def _page(one: Judged, chosen: Limits) -> str | None:
    """Evidently's page on the latest window of what has a distribution."""
    reference = one.windows.reference
    if reference is None or not one.windows.windows:
        return None
    edges = one.watched.edges(reference.rows)
    if not edges:  # outcomes and shares alone have no distribution to show
        return None
    return evidence.report(
        binned(reference.rows, edges),
        binned(one.windows.windows[-1].rows, edges),
        {name: chosen.checks[check].value for check, name in one.watched.compared()},
    )
