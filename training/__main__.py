"""``python -m training fit|compare|evaluate|backtest|export|drift``: see training/README.md."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path

from prebill import registry
from prebill.bootstrap import Installation, policy_text
from prebill.core.errors import InputError, NotFoundError, PrebillError
from prebill.core.policy.model import Policy
from prebill.core.scoring.backtest import backtest
from prebill.settings import Settings
from training import backtest as months
from training import payment_quality, specification
from training.dataset import Dataset, from_folder, from_home
from training.drift import command as drift
from training.export import export
from training.fit import RECIPES, prepare
from training.promote import Verdict, compare_bundles, judge
from training.run import Wish, attempt, champion_of, run, verdict_tags
from training.specification import Specification

EXIT_CANNOT_GO_ON = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; an expected error is one sentence and exit code 3."""
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    given = _parser().parse_args(arguments)
    do: Callable[[argparse.Namespace], int] = given.do
    try:
        return do(given)
    except PrebillError as error:
        print(f"training: {error}", file=sys.stderr)
        return EXIT_CANNOT_GO_ON


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, do: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=do.__doc__)
        added.set_defaults(do=do)
        added.add_argument("--home", type=Path, help="installation; default PREBILL_HOME")
        added.add_argument("--data", type=Path, help="folder of canonical files instead")
        added.add_argument("--set", action="append", default=[], dest="overrides")
        return added

    fit = command("fit", _fit)
    fit.add_argument("models", nargs="*", choices=[*RECIPES, []], metavar="MODEL")
    fit.add_argument("--tune", action="store_true", help="search the grid on earlier months")
    fit.add_argument("--no-promote", action="store_true", help="register only")
    compared = command("compare", _compare)
    compared.add_argument("model", choices=list(RECIPES))
    compared.add_argument("--with", type=int, dest="version", help="default: the challenger")
    command("evaluate", _evaluate).add_argument("--cuts", type=int, default=3, help="months tested")
    tested = command("backtest", _backtest)
    tested.add_argument("--months", type=int, default=3, help="latest whole months")
    tested.add_argument("--out", type=Path, help="Parquet file of every judged invoice")
    drifted = commands.add_parser("drift", help="what moved since the models learnt")
    drifted.set_defaults(do=drift.run)
    drift.add_arguments(drifted)
    exported = command("export", _export)
    exported.add_argument("model", choices=list(RECIPES))
    exported.add_argument("--as-of", type=date.fromisoformat, required=True)
    exported.add_argument("--out", type=Path, required=True)
    return parser


def _dataset(given: argparse.Namespace) -> Dataset:
    return from_folder(given.data) if given.data else from_home(given.home)


def _specification(given: argparse.Namespace, name: str) -> Specification:
    return specification.read(Settings.load(given.home).model_specs_dir, name, given.overrides)


def _fit(given: argparse.Namespace) -> int:
    """Fit, measure, register each model; one that can't be fitted stops no other."""
    settings = Settings.load(given.home)
    dataset = _dataset(given)
    done = [
        attempt(name, partial(_run, settings, dataset, given, name))
        for name in given.models or list(RECIPES)
    ]
    return 0 if any(done) else EXIT_CANNOT_GO_ON


def _run(settings: Settings, dataset: Dataset, given: argparse.Namespace, name: str) -> None:
    wish = Wish(is_tuning=given.tune, may_install=not given.no_promote)
    run(settings, dataset, _specification(given, name), wish, print)


def _compare(given: argparse.Namespace) -> int:
    """Compare a version with the champion on rows that neither has learnt; keep the verdict."""
    settings = Settings.load(given.home)
    there = registry.versions(settings, given.model)
    asked = given.version
    version = next(
        (
            one
            for one in there
            if (one.number == asked if asked else registry.CHALLENGER in one.aliases)
        ),
        None,
    )
    if version is None:
        what = f"version {asked}" if asked else "challenger: give one --with VERSION"
        message = f"{given.model} has no {what}; see `prebill models list`"
        raise NotFoundError(message, model=given.model)
    bundle = registry.fetch(settings, given.model, version.number, version.digest)
    champion = champion_of(settings, given.model)
    spec = _specification(given, given.model)
    later = prepare(_dataset(given), spec).later
    if champion is None:
        found = judge(later.measure(bundle), later.measure_simple(), later, spec, against="")
    elif champion.digest == bundle.digest:
        raise InputError(f"{given.model} version {version.number} is the champion itself")
    else:
        found = compare_bundles(later, bundle, champion, spec)
    if found.gain is None:
        raise InputError(f"{given.model}: too little to compare on: {found.reason}")
    registry.annotate(settings, version, verdict_tags(found))
    _print_verdict(found, spec)
    return 0


def _print_verdict(found: Verdict, spec: Specification) -> None:
    print(found.reason)
    print("saved: loss of the champion less loss of the version; 95 % interval by customer")
    for row in found.slices.iter_rows(named=True):
        few = "" if row["is_judged"] else "  too few rows to judge"
        print(
            f"  {row['slice']:<9} {row['value']:<12} {row['rows']:>7,} rows  "
            f"{row['gain']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f}), "
            f"bound {-spec.slices[row['slice']]:+.3f}{few}"
        )


def _evaluate(given: argparse.Namespace) -> int:
    """Print the tables of payment risk over the latest months with known outcomes."""
    payment_quality.report(
        _dataset(given), _specification(given, "payment_risk"), given.cuts, print
    )
    return 0


def _backtest(given: argparse.Namespace) -> int:
    """Judge past months as if each had been live; later credits, verdicts and payments tell."""
    settings = Settings.load(given.home)
    dataset = _dataset(given)
    past = (
        months.past_of_folder(dataset, given.data)
        if given.data
        else months.past_of_home(dataset, given.home)
    )
    policy = _policy(given, settings)
    seed = _specification(given, "forest").seed
    found = backtest(past, months.months_of(dataset, given.months), policy, seed=seed)
    print(months.table(found))
    if given.out:
        found.judged.write_parquet(given.out)
    return 0


def _policy(given: argparse.Namespace, settings: Settings) -> Policy:
    """The policy in force in an installation; of a folder, the one that is installed."""
    if given.data:
        return Policy.parse(policy_text(settings.policy_path))
    opened = Installation.open(settings)
    try:
        return opened.load_policy()
    finally:
        opened.close()


def _export(given: argparse.Namespace) -> int:
    """Write the exact training rows as of a day, with a manifest."""
    spec = _specification(given, given.model)
    manifest = export(_dataset(given), spec, given.as_of, given.out)
    print(f"{manifest['rows']:,} rows of {given.model} as of {given.as_of}: {given.out}")
    print(f"manifest: {given.out}.manifest.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
