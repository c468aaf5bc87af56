"""Drafts per second with profiles prepared, and the memory of what serves.

    python -m tests.benchmarks.serving_batch --drafts 100000 --batch 10000

Building (fits, what is ordinary, a profile a customer) is timed apart and handed over in files to
a process of its own that scores; a server answers 200 hook requests with the same kinds of model.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import httpx
import numpy as np
import polars as pl

from prebill.bootstrap import Installation
from prebill.bundles import Bundle, Role, load_models, put_in_use
from prebill.core.policy.model import Policy
from prebill.core.schemas.inbound import PAYMENTS
from prebill.core.scoring.company import Company, company_of
from prebill.core.scoring.detectors import DRAFT_DETECTORS
from prebill.core.scoring.features.payment import receivables
from prebill.core.scoring.frames import Books, ScoringInputs
from prebill.core.scoring.models import Models, fit_level
from prebill.core.scoring.models.error_risk import ErrorSpec, fit_error_risk
from prebill.core.scoring.models.payment_risk import fit_payment_risk, training_rows
from prebill.core.scoring.payments import payment_figures
from prebill.core.scoring.prepared import KEPT, Prepared, prepare, scene_prepared
from prebill.core.scoring.scene import scene_of
from prebill.core.scoring.scorer import score_scene
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.store.users import Role as UserRole
from prebill.workflows.profiles import prepare_profiles
from tests.api.builders import add_person
from tests.api.history import add_history, invoice, line_of
from tests.benchmarks.scoring_speed import DRAFTED, books
from tests.benchmarks.serving import served
from tests.training.labels import labelled
from training.error_risk import weighted
from training.labelled import COLUMNS

T = TypeVar("T")
#: Customers from whose invoices the models are fitted.
FITTED_CUSTOMERS = 3_000
REQUESTS = 200
WORKER_CUSTOMERS = 2_000


def company(customers: int, months: int) -> ScoringInputs:
    """Invoices of some months, paid as each customer uses to, and one batch of drafts."""
    rng = np.random.default_rng(1)
    level = rng.lognormal(7, 0.8, customers)
    drafts, *past = [books(customers, -month, level, rng) for month in range(months + 1)]
    heads = pl.concat([one.invoices for one in past])
    habit = np.tile(rng.normal(0, 6, customers), months)
    days = np.maximum(habit + rng.normal(0, 4, heads.height), -20).astype(int)
    paid = heads.select(
        "invoice_id",
        payment_id="invoice_id",
        paid_on=pl.col("due_on") + pl.duration(days=pl.Series(days)),
        amount_minor="total_minor",
    ).filter(pl.col("paid_on") < DRAFTED)
    history = Books(heads, pl.concat([one.lines for one in past]))
    return ScoringInputs(history, drafts, payments=PAYMENTS.conform(paid))


def fitted(inputs: ScoringInputs) -> list[Bundle]:
    """The three kinds of model, from a part of the customers."""
    few = inputs.history.invoices["customer_id"].unique().sort().head(FITTED_CUSTOMERS)
    heads = inputs.history.invoices.filter(pl.col("customer_id").is_in(few.implode()))
    lines = inputs.history.lines.join(heads.select("invoice_id"), on="invoice_id", how="semi")
    rows = scene_of(replace(inputs, history=Books(heads, lines), drafts=Books())).rows
    forest = fit_level(rows, 1)
    known = receivables(heads, inputs.payments, inputs.credit_notes)
    risk = fit_payment_risk(training_rows(known, DRAFTED), 1)
    labels = weighted(labelled(10_000))
    errors = fit_error_risk(labels, tuple(COLUMNS), 1, ErrorSpec())
    if forest is None or errors is None:
        message = "too few rows to fit on"
        raise RuntimeError(message)
    facts = {"seed": 1}
    return [
        Bundle("forest", {"forest.npz": forest.to_npz()}, facts),
        Bundle("payment_risk", risk.to_bytes(), facts),
        Bundle("error_risk", errors.to_bytes(), facts),
    ]


def build(folder: Path, drafts: int, months: int) -> Settings:
    """Make everything that is prepared before drafts come; print how long each took."""
    inputs = company(drafts, months)
    settings = Settings.load(folder)
    with clock(f"models fitted on {FITTED_CUSTOMERS:,} customers"):
        for bundle in fitted(inputs):
            put_in_use(settings, bundle, Role.CHAMPION, 1)
    with clock("what is ordinary in the company"):
        known = company_of(inputs, load_models(settings).forest)
    with clock(f"{drafts:,} profiles from {inputs.history.invoices.height:,} invoices"):
        frames = prepare(inputs, known.everybody).frames
    (folder / "company.json").write_text(known.to_json(), encoding="utf-8")
    for name, frame in frames.items():
        frame.sort("customer_id", maintain_order=True).write_parquet(folder / f"{name}.parquet")
    inputs.drafts.invoices.write_parquet(folder / "drafts.parquet")
    inputs.drafts.lines.write_parquet(folder / "lines.parquet")
    print(f"peak memory of building: {peak_mb():,.0f} MB")
    return settings


@dataclass
class Spent:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    def of(self, stage: str, work: Callable[[], T]) -> T:
        """Do something and count its time."""
        started = time.perf_counter()
        found = work()
        spent = time.perf_counter() - started
        self.seconds[stage] = self.seconds.get(stage, 0.0) + spent
        return found


def score(folder: Path, batch: int) -> None:
    """Score the drafts in batches, as one process with nothing but what was prepared."""
    models = load_models(Settings.load(folder))
    known = Company.from_json((folder / "company.json").read_text(encoding="utf-8"))
    drafts, lines = (pl.read_parquet(folder / f"{name}.parquet") for name in ("drafts", "lines"))
    ready = {name: pl.read_parquet(folder / f"{name}.parquet") for name in KEPT}
    print(f"memory with everything loaded: {now_mb():,.0f} MB")
    spent, parts = Spent(), Spent()
    actions = []
    for start in range(0, drafts.height, batch):
        heads = drafts.slice(start, batch)
        own = heads.select("invoice_id", "customer_id")
        slices = spent.of("profiles picked", lambda: picked(ready, own))  # noqa: B023
        inputs = ScoringInputs(
            history=Books(),
            drafts=Books(heads, lines.join(own, on="invoice_id", how="semi")),
            remembered=slices.remembered,
            owed=slices.owed,
        )
        scene = spent.of(
            "features",
            lambda: scene_prepared(inputs, slices, known.norms, known.everybody),  # noqa: B023
        )
        if scene is None:
            message = "what was prepared does not hold for the drafts"
            raise RuntimeError(message)
        scored = spent.of(
            "judges, models, decisions",
            lambda: score_scene(scene, models, Policy.default(), DRAFT_DETECTORS),  # noqa: B023
        )
        actions.append(scored.decisions.select("action"))
        alone(parts, models, known, scene, scored)
    total = sum(spent.seconds.values())
    counts = pl.concat(actions)["action"].value_counts().sort("action").rows()
    print(f"{drafts.height:,} drafts in {total:.1f} s: {drafts.height / total:,.0f} drafts/s")
    told = {**spent.seconds, **{f"  {name}, alone": one for name, one in parts.seconds.items()}}
    for name, seconds in told.items():
        print(f"  {name:<36} {seconds:6.2f} s  {drafts.height / seconds:10,.0f}/s")
    print(f"  {', '.join(f'{action} {count:,}' for action, count in counts)}")
    print(f"peak memory of scoring: {peak_mb():,.0f} MB")


def picked(ready: dict[str, pl.DataFrame], own: pl.DataFrame) -> Prepared:
    """What was prepared of some customers."""
    return Prepared(
        **{
            name: frame.join(own, on="customer_id", how="semi", maintain_order="left")
            for name, frame in ready.items()
        }
    )


def alone(parts: Spent, models: Models, known: Company, scene: object, scored: object) -> None:
    """Each model by itself on the same rows: what of the judges' time it is."""
    rows, decisions = scored.feature_rows, scored.decisions  # type: ignore[attr-defined]
    seen = rows.join(decisions.select("invoice_id", "anomaly_score"), on="invoice_id")
    parts.of("forest", lambda: models.forest.score(rows))  # type: ignore[union-attr]
    parts.of("P(error)", lambda: models.error_risk.predict(seen))  # type: ignore[union-attr]
    parts.of(
        "payment figures",
        lambda: payment_figures(scene.inputs, models, everyone=known.norms.payers),  # type: ignore[attr-defined]
    )


def worker(models: Settings) -> None:
    """Memory of the process that answers the hook, after some requests."""
    home = Path(tempfile.mkdtemp())
    settings = Settings.load(home)
    store, lake = Store(settings.database_url), Lake(settings.lake_dir)
    store.create_all()
    person = add_person(store, UserRole.CONTROLLER)
    add_history(store, lake, customers=WORKER_CUSTOMERS)
    (models.models_dir).rename(settings.models_dir)
    prepare_profiles(Installation(settings, store, lake))
    with (
        served(home) as server,
        httpx.Client(base_url=server.url, headers=person.bearer, timeout=60) as client,
    ):
        for number in range(REQUESTS):
            one = {**invoice(number % 1_900 + 1, 12), "invoice_id": f"NEW-{number}"}
            body = {"invoices": [one], "invoice_lines": [line_of(one)]}
            client.post("/v1/invoices:score", json=body).raise_for_status()
        found = {name: memory_mb(server.pid, name) for name in ("VmRSS", "VmHWM")}
    print(
        f"one worker after {REQUESTS} hook requests, {WORKER_CUSTOMERS:,} customers, all models: "
        f"{found['VmRSS']:,.0f} MB, at most {found['VmHWM']:,.0f} MB"
    )


def memory_mb(pid: int, name: str) -> float:
    """A figure of ``/proc/PID/status``: VmRSS now, VmHWM at most."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1]) / 1024
    return float("nan")


def now_mb() -> float:
    return memory_mb(os.getpid(), "VmRSS")


def peak_mb() -> float:
    """Of this program alone: ``ru_maxrss`` would be that of the process that started it."""
    return memory_mb(os.getpid(), "VmHWM")


@contextmanager
def clock(title: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    print(f"{title}: {time.perf_counter() - started:.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--drafts", type=int, default=100_000)
    parser.add_argument("--months", type=int, default=6)
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="only score what was built there")
    given = parser.parse_args()
    if given.folder:
        score(given.folder, given.batch)
        return
    print(f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    folder = Path(tempfile.mkdtemp())
    models = build(folder, given.drafts, given.months)
    command = [sys.executable, "-m", "tests.benchmarks.serving_batch", "--folder", str(folder)]
    subprocess.run([*command, "--batch", str(given.batch)], check=True)
    worker(models)


if __name__ == "__main__":
    main()
