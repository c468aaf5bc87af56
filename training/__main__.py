"""``python -m training fit|evaluate|drift``: see training/README.md."""

import argparse
import getpass
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from prebill import registry
from prebill.core.errors import ModelError, PrebillError
from prebill.settings import Settings
from training import evaluate, specification
from training.baselines import lightgbm_default, own_past
from training.dataset import Dataset, from_folder, from_home
from training.drift import command as drift
from training.fit import FITTERS, Trained
from training.promote import Comparison, compare

EXIT_CANNOT_GO_ON = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; an expected error is one sentence and exit code 3."""
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    given = _parser().parse_args(arguments)
    commands = {"fit": _fit, "evaluate": _evaluate, "drift": drift.run}
    try:
        return commands[given.command](given)
    except PrebillError as error:
        print(f"training: {error}", file=sys.stderr)
        return EXIT_CANNOT_GO_ON


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("fit", "evaluate"):
        command = commands.add_parser(name)
        command.add_argument("models", nargs="*", choices=[*FITTERS, []], metavar="MODEL")
        command.add_argument("--home", type=Path, help="installation; default PREBILL_HOME")
        command.add_argument("--data", type=Path, help="folder of canonical files instead")
        command.add_argument("--set", action="append", default=[], dest="overrides")
        if name == "fit":
            command.add_argument("--no-promote", action="store_true")
        else:
            command.add_argument("--cuts", type=int, default=3, help="months tested")
    drift.add_arguments(commands.add_parser("drift"))
    return parser


def _dataset(given: argparse.Namespace) -> Dataset:
    return from_folder(given.data) if given.data else from_home(given.home)


def _fit(given: argparse.Namespace) -> int:
    """Fit, measure, register and promote each model; one that can't be fitted stops no other."""
    settings = Settings.load(given.home)
    dataset = _dataset(given)
    failed = []
    for name in given.models or FITTERS:
        spec = specification.read(settings.model_specs_dir, name, given.overrides)
        try:
            trained = FITTERS[name](dataset, spec)
        except PrebillError as error:
            print(f"{name}: not trained: {error}", file=sys.stderr)
            failed.append(name)
            continue
        champion = _champion(settings, name)
        if champion is not None and champion.digest == trained.bundle.digest:
            print(f"{name}: equal to the champion in every byte, nothing registered")
            continue
        verdict = compare(trained, champion, spec)
        version = registry.register(
            settings,
            trained.bundle,
            parameters={
                "seed": spec.seed,
                **spec.fit,
                **_period(trained),
                "source": dataset.source,
            },
            metrics={**trained.tested.figures, "gain": verdict.gain},
            documents={**trained.documents, "model_card.md": _card(settings, trained, verdict)},
        )
        print(f"{name} version {version.number}: {_shown(trained)}")
        if verdict.is_better and not given.no_promote:
            registry.promote(settings, name, version.number)
            _audit(settings, name, version.number, verdict)
            print(f"{name} version {version.number} is champion: {verdict.reason}")
        else:
            print(f"{name} version {version.number} is not promoted: {verdict.reason}")
    return EXIT_CANNOT_GO_ON if len(failed) == len(given.models or FITTERS) else 0


def _champion(settings: Settings, name: str) -> registry.Bundle | None:
    """The champion; one that was altered can't defend its place."""
    try:
        return registry.champion(settings, name)
    except ModelError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return None


def _audit(settings: Settings, name: str, number: int, verdict: Comparison) -> None:
    """Record the promotion, where there is a database to record it in."""
    from prebill import audit
    from prebill.core.errors import StorageError
    from prebill.store.engine import Store

    try:
        with Store.open(settings.database_url) as store, store.transaction() as tx:
            detail: dict[str, object] = {"version": number, "reason": verdict.reason}
            audit.record(tx, f"shell:{getpass.getuser()}", "model.promoted", name, detail)
    except StorageError as error:
        print(f"{name}: the promotion is not audited: {error}", file=sys.stderr)


def _period(trained: Trained) -> dict[str, str]:
    return {
        "train_before": str(trained.split.train_before),
        "test_end_on": str(trained.split.test_end_on),
    }


def _shown(trained: Trained) -> str:
    names = ("auroc", "average_precision", "brier", "ece", "mae_days", "rows")
    found = trained.tested.figures
    return ", ".join(f"{name} {found[name]:.4g}" for name in names if name in found)


def _card(settings: Settings, trained: Trained, verdict: Comparison) -> str:
    """The repository's card with this run's data and figures under it."""
    path = settings.model_specs_dir / trained.bundle.name / "model_card.md"
    text = path.read_text(encoding="utf-8") if path.exists() else f"# {trained.bundle.name}\n"
    facts = "\n".join(f"- {name}: {value}" for name, value in trained.bundle.facts.items())
    return f"{text}\n## This run\n\n{facts}\n- verdict: {verdict.reason}\n"


def _evaluate(given: argparse.Namespace) -> int:
    """Print the table of payment risk over the latest months with known outcomes."""
    settings = Settings.load(given.home)
    dataset = _dataset(given)
    spec = specification.read(settings.model_specs_dir, "payment_risk", given.overrides)
    measured = evaluate.measured(
        dataset,
        spec,
        cuts=given.cuts,
        baselines={
            "own past rate, last-10 median": lambda _, later: own_past(later),
            "LightGBM default, same features": lambda rows, later: lightgbm_default(
                rows, later, spec.seed
            ),
        },
    )
    print(evaluate.table(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
