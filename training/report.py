"""What a run leaves for people: an HTML report, the model card made from it, plots, tables."""

import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import polars as pl

from prebill.core.scoring.declared import READ_BY
from prebill.settings import Settings
from training.dataset import Dataset
from training.plots import Axes, calibration_svg, money_svg
from training.promote import Verdict
from training.specification import Specification
from training.trained import Trained

#: What a model means when it says a number, and what its money curve shows.
_AXES: Final[Mapping[str, tuple[Axes, Axes]]] = {
    "forest": (
        Axes(
            "alarms set for, share of ordinary invoices",
            "alarms raised",
            (0.001, 0.01, 0.1, 1.0),
            is_log=True,
        ),
        Axes("invoices looked at, worst first", "faulty money found", (0, 0.25, 0.5, 0.75, 1)),
    ),
    "error_risk": (
        Axes("P(error) said", "wrong", (0, 0.2, 0.4, 0.6, 0.8, 1)),
        Axes("drafts looked at", "wrong money found", (0, 0.25, 0.5, 0.75, 1)),
    ),
    "payment_risk": (
        Axes("P(late) said", "late", (0, 0.2, 0.4, 0.6, 0.8, 1)),
        Axes("invoices followed up", "late money reached", (0, 0.25, 0.5, 0.75, 1)),
    ),
}
_TITLES: Final = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "brier": "Brier score",
    "log_loss": "log loss",
    "ece": "calibration error (ECE)",
    "ece_if_perfect": "ECE of a perfect model, 95th percentile",
    "auroc_late5": "AUROC, more than 5 days late",
    "mae_days": "mean error in days",
    "within_3_days": "share within 3 days",
    "cover_80": "share inside the 80 % interval",
    "money_caught": "money caught within the budget",
    "precision_at_budget": "share of faults within the budget",
    "planted": "planted faults",
    "rows": "tested invoices",
}
_PACKAGES: Final = ("polars", "numpy", "scikit-learn", "lightgbm")


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: what is told about it comes from here alone."""

    dataset: Dataset
    spec: Specification
    trained: Trained
    verdict: Verdict
    actor: str
    seconds: float
    #: What tuning tried, as text lines; empty without it.
    tuned: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Which model."""
        return self.trained.bundle.name


def documents(settings: Settings, run: Run) -> dict[str, str]:
    """Return the artifacts of a run: path → text."""
    tested = run.trained.tested
    calibration, money = _plots(run)
    card = card_text(settings, run)
    found = {
        "report.html": _rendered("report.html.j2", run, card=card, plots=(calibration, money)),
        "model_card.md": card,
        "plots/calibration.svg": calibration,
        "plots/money.svg": money,
        "tables/calibration.csv": tested.calibration.write_csv(),
        "tables/money.csv": tested.money.write_csv(),
        "tables/slices.csv": run.verdict.slices.write_csv(),
    }
    if not tested.faults.is_empty():
        found["tables/faults.csv"] = tested.faults.write_csv()
    return found


def card_text(settings: Settings, run: Run) -> str:
    """The repository's card (what it says, intended use, limits) with this run's facts below."""
    path = settings.model_specs_dir / run.name / "model_card.md"
    head = path.read_text(encoding="utf-8") if path.exists() else f"# {run.name}\n"
    return head.rstrip("\n") + "\n\n" + _rendered("card.md.j2", run)


def parameters(run: Run) -> dict[str, object]:
    """What MLflow lists as the run's parameters: the specification, the data and the code."""
    split = run.trained.split
    return {
        "seed": run.spec.seed,
        **run.spec.fit,
        "train_before": split.train_before,
        "test_start_on": split.test_start_on,
        "test_end_on": split.test_end_on,
        "data": run.dataset.fingerprint,
        "source": run.dataset.source,
        "code": code_version(),
        "rung": run.trained.bundle.facts.get("rung", ""),
    }


def metrics(run: Run) -> dict[str, float]:
    """Figures of the model, of what it was compared with, and the gain with its interval."""
    found = dict(run.trained.tested.figures) | {"seconds": run.seconds}
    gain = run.verdict.gain
    if gain is not None:
        found |= {"gain": gain.gain, "gain_low": gain.low, "gain_high": gain.high}
    if run.verdict.rival is not None:
        found |= {f"rival_{name}": value for name, value in run.verdict.rival.figures.items()}
    return found


def tags(run: Run) -> dict[str, str]:
    """Where data and code came from, exactly."""
    found = {f"data.{name}": text for name, text in run.dataset.versions.items()}
    found |= {f"package.{name}": metadata.version(name) for name in _PACKAGES}
    return found | {
        "code": code_version(),
        "python": platform.python_version(),
        "trained_by": run.actor,
    }


@cache
def code_version() -> str:
    """Prebill's version, and the commit where the code lies in a repository."""
    version = metadata.version("prebill")
    place = Path(__file__).resolve().parent
    command = ["git", "-C", str(place), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return version
    return f"{version} {done.stdout.strip()}" if done.returncode == 0 else version


def _plots(run: Run) -> tuple[str, str]:
    calibration, money = _AXES[run.name]
    tested, rival = run.trained.tested, run.verdict.rival
    curves = {"this model": tested.money}
    if rival is not None:
        curves["champion" if run.verdict.against else "simple rule"] = rival.money
    budget = float(run.spec.evaluate["review_share"])
    return (
        calibration_svg(tested.calibration, calibration),
        money_svg(curves, money, budget),
    )


def _rendered(template: str, run: Run, **more: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    place = Path(__file__).parent / "templates"
    environment = Environment(
        loader=FileSystemLoader(place),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["figure"] = _figure
    return environment.get_template(template).render(
        run=run,
        figures=_figures(run),
        slices=run.verdict.slices.to_dicts(),
        bounds=run.spec.slices,
        faults=_sorted_faults(run.trained.tested.faults),
        calibration=run.trained.tested.calibration.to_dicts(),
        code=code_version(),
        features=READ_BY[run.name].values(),
        **more,
    )


def _sorted_faults(faults: pl.DataFrame) -> list[dict[str, Any]]:
    return faults.sort("found", "kind").to_dicts()


def _figures(run: Run) -> list[tuple[str, float, float | None]]:
    """Title, this model's figure, its rival's."""
    own = run.trained.tested.figures
    rival = run.verdict.rival.figures if run.verdict.rival else {}
    return [(title, own[name], rival.get(name)) for name, title in _TITLES.items() if name in own]


def _figure(value: float | None) -> str:
    """A figure as people read it: counts whole, shares and losses with four digits."""
    if value is None or value != value:
        return "–"
    if value >= 1000 or (value == int(value) and abs(value) > 1):
        return f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"
