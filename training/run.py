"""One training run: fit, compare, log, register, and hand over what passed."""

import getpass
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from prebill import registry
from prebill.bundles import Bundle, Role, in_use
from prebill.core.errors import ModelError, PrebillError, StorageError
from prebill.registry import Logged, Version
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.workflows import promotion
from training import report
from training.dataset import Dataset
from training.error_risk import TooFewLabelsError
from training.fit import prepare, train
from training.promote import Verdict, compare
from training.report import Run
from training.specification import Specification
from training.tune import tune

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a run is asked for."""

    is_tuning: bool = False
    may_install: bool = True


def run(settings: Settings, dataset: Dataset, spec: Specification, wish: Wish, say: Say) -> None:
    """Train one model; what passes becomes champion or challenger.

    Raises
    ------
    PrebillError
        There is too little to learn from, or MLflow is away.
    """
    started = time.perf_counter()
    ready = prepare(dataset, spec)
    tried: tuple[str, ...] = ()
    if wish.is_tuning:
        tuned = tune(dataset, spec, ready)
        tried = tuple(_told(chosen, loss) for chosen, loss in tuned.tried)
        spec = tuned.spec
        say(f"{spec.name}: tuned, best of {len(tried)}: {tried[0]}")
    trained = train(dataset, spec, ready)
    champion = champion_of(settings, spec.name)
    if champion is not None and champion.digest == trained.bundle.digest:
        say(f"{spec.name}: equal to the champion in every byte, nothing registered")
        return
    verdict = compare(trained, champion, spec)
    done = Run(
        dataset=dataset,
        spec=spec,
        trained=trained,
        verdict=verdict,
        actor=shell_user(),
        seconds=time.perf_counter() - started,
        tuned=tried,
    )
    version = register(settings, done)
    say(f"{spec.name} version {version.number}: {_shown(done)}")
    _hand_over(settings, version, verdict, wish, say)


def register(settings: Settings, done: Run) -> Version:
    """Log a run with everything that is told about it, and register its model."""
    logged = Logged(
        parameters=report.parameters(done),
        metrics=report.metrics(done),
        documents=report.documents(settings, done),
        tags=report.tags(done),
        note=report.card_text(settings, done),
    )
    return registry.register(settings, done.trained.bundle, logged, tags=verdict_tags(done.verdict))


def verdict_tags(verdict: Verdict) -> dict[str, str]:
    """What `prebill models promote` asks of a version."""
    return {
        registry.PASSED: "yes" if verdict.is_better else "no",
        registry.VERDICT: verdict.reason,
        registry.AGAINST: verdict.against,
    }


def champion_of(settings: Settings, name: str) -> Bundle | None:
    """The champion; one that was altered can't defend its place."""
    try:
        return in_use(settings, name, Role.CHAMPION)
    except ModelError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return None


def shell_user() -> str:
    """Who trains: a person or a timer with access to the machine."""
    return f"shell:{getpass.getuser()}"


def _hand_over(
    settings: Settings, version: Version, verdict: Verdict, wish: Wish, say: Say
) -> None:
    """Make a version that passed champion or challenger, where there is a database to record it."""
    named = f"{version.name} version {version.number}"
    if not verdict.is_better:
        say(f"{named} is not promoted: {verdict.reason}")
        return
    if not wish.may_install:
        say(f"{named} passed and is registered only: {verdict.reason}")
        return
    evidence: dict[str, object] = {"verdict": verdict.reason}
    try:
        with Store.open(settings.database_url) as store:
            office = promotion.Office(settings, store, shell_user())
            outcome = promotion.install(office, version, evidence)
    except StorageError as error:
        say(f"{named} passed and is registered only, for nothing can be recorded: {error}")
        return
    for note in outcome.notes:
        say(f"{named}: {note}")
    if outcome.change.kind == "challenge":
        say(
            f"{named} is challenger: {verdict.reason}. It scores in shadow; two people put it in "
            f"use with `prebill models promote {version.name} {version.number}`"
        )
    else:
        say(f"{named} is champion: {verdict.reason} ({outcome.change.basis})")


def attempt(name: str, do: Callable[[], None]) -> bool:
    """Run one model; an expected error is told and stops no other model."""
    try:
        do()
    except TooFewLabelsError as error:
        print(f"{name}: left out: {error}")
        return False
    except PrebillError as error:
        print(f"{name}: not trained: {error}", file=sys.stderr)
        return False
    return True


def _shown(done: Run) -> str:
    names = ("auroc", "average_precision", "brier", "ece", "mae_days", "money_caught", "rows")
    found = done.trained.tested.figures
    return ", ".join(f"{name} {found[name]:.4g}" for name in names if name in found)


def _told(chosen: object, loss: float) -> str:
    assert isinstance(chosen, dict)
    values = " ".join(f"--set fit.{name}={value}" for name, value in chosen.items())
    return f"loss {loss:.5f} {values}"
