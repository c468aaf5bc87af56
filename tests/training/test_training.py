"""`python -m training` from folder to champion and challenger: only if better, reproducible."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from prebill import registry
from prebill.bundles import Bundle, Role, in_use, load_models
from prebill.settings import Settings
from prebill.store.engine import Store
from tests.core.scoring.payers import payers
from tests.training.labels import with_labels
from training.__main__ import main
from training.dataset import from_folder
from training.fit import RECIPES, prepare, train
from training.promote import compare
from training.specification import Specification, read

ROOT = Path(__file__).parent.parent.parent
SHARED = ROOT.parent / "shared" / "data" / "receivables"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("data")
    given = payers(customers=60)
    given.invoices.write_parquet(place / "invoices.parquet")
    given.payments.write_csv(place / "payments.csv")
    return place


@pytest.fixture
def installed(tracked: Settings, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home with database and MLflow."""
    monkeypatch.setenv("PREBILL_DATABASE_URL", sqlite_url)
    return Settings.load()


def specified(name: str, *overrides: str) -> Specification:
    return read(Settings.load().model_specs_dir, name, overrides)


QUICK = ("fit.binary_rate=0.05", "fit.binary_rounds=80", "fit.hazard_rounds=20")


def test_first_is_champion_equal_is_not_registered_worse_is_neither_better_is_challenger(
    installed: Settings, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = ["fit", "payment_risk", "--data", str(folder)]
    poor = [f"--set={one}" for one in QUICK]
    assert main([*fit, *poor]) == 0
    assert "payment_risk version 1 is champion: better" in capsys.readouterr().out
    first = load_models(installed).versions

    assert main([*fit, *poor]) == 0
    assert "equal to the champion in every byte" in capsys.readouterr().out

    assert main([*fit, "--set=fit.binary_rounds=1", "--set=fit.hazard_rounds=1"]) == 0
    assert "version 2 is not promoted" in capsys.readouterr().out

    assert main([*fit, "--set=fit.binary_weight=0.25"]) == 0
    printed = capsys.readouterr().out
    assert "version 3 is challenger: better" in printed
    assert "prebill models promote payment_risk 3" in printed
    assert load_models(installed).versions == first
    assert in_use(installed, "payment_risk", Role.CHALLENGER) is not None
    with Store.open(installed.database_url) as store, store.read() as tx:
        actions = [
            row["action"] for row in tx.rows("SELECT action FROM audit_entries ORDER BY seq")
        ]
    assert actions[-2:] == ["model.promoted", "model.challenged"]

    assert main(["compare", "payment_risk", "--data", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("better: loss")
    assert "tenure" in printed
    assert main(["compare", "payment_risk", "--with=2", "--data", str(folder)]) == 0
    assert capsys.readouterr().out.startswith(("no better", "not calibrated", "worse"))
    assert main(["compare", "payment_risk", "--with=9", "--data", str(folder)]) == 3


def test_without_a_database_a_model_is_registered_and_used_by_nobody(
    tracked: Settings, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "payment_risk", "--data", str(folder), *(f"--set={s}" for s in QUICK)]) == 0
    assert "registered only" in capsys.readouterr().out
    assert load_models(tracked).payment_risk is None


def test_run_logs_data_code_figures_card_report_and_plots(
    installed: Settings, folder: Path
) -> None:
    assert main(["fit", "payment_risk", "--data", str(folder), *(f"--set={s}" for s in QUICK)]) == 0
    [artifacts] = (installed.home / "mlflow-artifacts").glob("*/artifacts")
    names = {file.relative_to(artifacts).as_posix() for file in artifacts.rglob("*.*")}
    assert {
        *("report.html", "model_card.md", "plots/calibration.svg", "plots/money.svg"),
        *("tables/slices.csv", "tables/calibration.csv", "tables/money.csv"),
    } <= names
    report = (artifacts / "report.html").read_text(encoding="utf-8")
    card = (artifacts / "model_card.md").read_text(encoding="utf-8")
    assert report.count("<svg") == 2
    assert "http://" not in report.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in report
    assert "<script" not in report
    dataset = from_folder(folder)
    for text in (report, card):
        assert dataset.fingerprint[:16] in text
        assert "calibration error (ECE)" in text
        assert "trained by" in text
        assert dataset.versions["payments.csv"] in text
    for part in (
        "**Intended use.**",
        "**Limits.**",
        "| validator |",
        "| cost |",
        "### Slices",
        "| late_rate | ",
    ):
        assert part in card
    [version] = registry.versions(installed, "payment_risk")
    assert version.tags[registry.PASSED] == "yes"
    assert version.tags[registry.AGAINST] == ""


@pytest.mark.parametrize("name", list(RECIPES))
def test_equal_data_seed_and_specification_give_equal_bytes(folder: Path, name: str) -> None:
    first = train(with_labels(folder), specified(name))
    again = train(with_labels(folder), specified(name))
    assert first.bundle.manifest == again.bundle.manifest
    assert dict(first.bundle.files) == dict(again.bundle.files)
    other = train(with_labels(folder), specified(name, "seed=7"))
    assert other.bundle.files != first.bundle.files


_DIGEST = """
import sys
from pathlib import Path
from prebill.settings import Settings
from tests.training.labels import with_labels
from training.fit import RECIPES, train
from training.specification import read
for name in RECIPES:
    spec = read(Settings.load().model_specs_dir, name)
    print(train(with_labels(Path(sys.argv[1])), spec).bundle.digest)
"""


@pytest.mark.slow
def test_bytes_do_not_depend_on_process_hash_seed_or_offered_threads(folder: Path) -> None:
    given = {n: v for n, v in os.environ.items() if not n.startswith("PREBILL_")}
    ways = (
        {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"},
        {"PYTHONHASHSEED": "2", "OMP_NUM_THREADS": "2", "POLARS_MAX_THREADS": "2"},
    )
    answers = [
        subprocess.run(
            [sys.executable, "-c", _DIGEST, str(folder)],
            env={**given, **way},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for way in ways
    ]
    assert answers[0] == answers[1]
    assert len(set(answers[0].split())) == len(RECIPES)


def test_champion_is_compared_only_on_rows_that_it_has_not_learnt(folder: Path) -> None:
    spec = specified("payment_risk", *QUICK)
    trained = train(from_folder(folder), spec)
    late = Bundle(
        "payment_risk",
        trained.bundle.files,
        {**trained.bundle.facts, "train_before": str(trained.split.test_end_on)},
    )
    verdict = compare(trained, late, spec)
    assert not verdict.is_better
    assert verdict.gain is None
    assert "only 0 outcomes are newer" in verdict.reason


def test_better_model_is_told_from_a_worse_one_on_the_same_rows(folder: Path) -> None:
    dataset = from_folder(folder)
    spec = specified("payment_risk")
    good = train(dataset, spec)
    weak = ("fit.binary_rounds=2", "fit.hazard_rounds=2", "fit.hazard_rate=0.01")
    poor = train(dataset, specified("payment_risk", *weak))
    verdict = compare(good, poor.bundle, spec)
    assert verdict.is_better
    assert verdict.against == poor.bundle.digest
    assert verdict.gain.low < verdict.gain.gain < verdict.gain.high
    assert set(verdict.slices["slice"]) == set(spec.slices)
    worse = compare(poor, good.bundle, spec)
    assert not worse.is_better
    assert worse.gain.gain == pytest.approx(-verdict.gain.gain)


def test_training_rows_end_before_the_gap_and_the_gap_before_the_test(folder: Path) -> None:
    dataset = from_folder(folder)
    spec = specified("payment_risk", "split.gap_days=5")
    ready = prepare(dataset, spec)
    tested = ready.later.later.rows
    assert ready.rows["issued_on"].max() < ready.split.train_before
    assert ready.rows["observed_until"].max() == ready.split.train_before
    assert ready.rows["settled_on"].max() < ready.split.train_before
    assert (tested["issued_on"].min() - ready.split.train_before).days >= 5


@pytest.mark.parametrize("name", list(RECIPES))
def test_what_came_after_the_cut_off_changes_no_training_row(folder: Path, name: str) -> None:
    dataset = with_labels(folder)
    ready = prepare(dataset, specified(name))
    cut_off = ready.split.train_before
    earlier = RECIPES[name].rows(dataset.before(cut_off), cut_off)
    assert earlier.equals(ready.rows)
    assert earlier.equals(RECIPES[name].rows(dataset, cut_off))


def test_without_payments_payment_risk_says_so_and_fails(
    tracked: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payers(customers=5).invoices.write_parquet(tmp_path / "invoices.parquet")
    assert main(["fit", "payment_risk", "--data", str(tmp_path)]) == 3
    assert "import payments" in capsys.readouterr().err
    assert load_models(tracked).payment_risk is None


def test_folder_without_invoices_is_an_error(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "--data", str(tmp_path)]) == 3
    assert "invoices" in capsys.readouterr().err


def test_evaluate_prints_a_table(
    settings: Settings, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", "--data", str(folder), "--cuts", "1"]
    assert main([*arguments, *(f"--set={one}" for one in QUICK)]) == 0
    printed = capsys.readouterr().out
    assert "| model | AUROC | AP | Brier |" in printed
    assert "as one batch" in printed
    assert "| CatBoost default" in printed
    assert "| payment risk less | AUROC | Brier | MAE days |" in printed
    assert "| slice | rows | late |" in printed


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not here")
def test_receivables_beat_the_customers_own_past() -> None:
    spec = specified("payment_risk")
    trained = train(from_folder(SHARED), spec)
    verdict = compare(trained, None, spec)
    assert verdict.is_better, verdict.reason
    assert verdict.gain.low > 0
    assert trained.tested.figures["ece"] < trained.tested.figures["ece_if_perfect"]


def test_forest_is_trained_and_served_from_the_registry(installed: Settings, folder: Path) -> None:
    override = "--set=evaluate.planted_factor=9"
    assert main(["fit", "forest", "--data", str(folder), override]) == 0
    forest = load_models(installed).forest
    assert forest is not None
    columns = pl.DataFrame({name: [0.0, 5.0] for name in forest.columns})
    low, high = forest.score(columns)
    assert low < high


def test_forest_is_measured_by_kind_of_fault_in_money_and_by_slice(folder: Path) -> None:
    trained = train(from_folder(folder), specified("forest", "evaluate.planted_share=0.2"))
    tested = trained.tested
    assert {"usage up", "half missing", "unit error x10"} <= set(tested.faults["kind"])
    big = tested.faults.row(by_predicate=pl.col("kind") == "unit error x10", named=True)
    assert big["low"] <= big["found"] <= big["high"]
    assert 0.0 < tested.figures["money_caught"] <= 1.0
    assert tested.losses["loss"].mean() == pytest.approx(1.0 - tested.figures["auroc"])
    assert tested.money["caught"].is_sorted()
    assert tested.money["caught"][-1] == pytest.approx(1.0)
    assert tested.calibration["observed"].is_sorted(descending=True)
    assert set(trained.later.slices.columns[1:]) >= set(specified("forest").slices)


# ── Tuning ───────────────────────────────────────────────────────────────────────────────────


def test_tuning_reads_nothing_of_the_tested_month(folder: Path) -> None:
    from training.tune import tune

    dataset = from_folder(folder)
    spec = specified("payment_risk", *QUICK, "tune.tries=3", "tune.months=1")
    ready = prepare(dataset, spec)
    whole = tune(dataset, spec, ready)
    cut = tune(dataset.before(ready.split.train_before), spec, ready)
    assert whole.tried == cut.tried
    assert len(whole.tried) == 3
    losses = [loss for _, loss in whole.tried]
    assert losses == sorted(losses)
    assert all(whole.spec.fit[name] == value for name, value in whole.tried[0][0].items())


def test_tuned_run_registers_the_best_and_tells_what_it_tried(
    installed: Settings, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--set=tune.tries=2", "--set=tune.months=1", "--set=fit.trees=100"]
    assert main(["fit", "forest", "--tune", "--data", str(folder), *words]) == 0
    assert "tuned, best of 2: loss" in capsys.readouterr().out
    [card] = (installed.home / "mlflow-artifacts").rglob("model_card.md")
    assert "### Tuning, on months before the tested one" in card.read_text(encoding="utf-8")


# ── A slice must not pay for the mean ────────────────────────────────────────────────────────


def test_model_that_is_better_on_the_mean_but_surely_worse_for_a_slice_does_not_pass(
    folder: Path,
) -> None:
    from training.promote import judge

    spec = specified("payment_risk", *QUICK)
    trained = train(from_folder(folder), spec)
    tested, later = trained.tested, trained.later
    losses = tested.losses.join(later.slices, on="invoice_id", maintain_order="left")
    hurt = pl.col("size") == "small"
    shifted = losses.with_columns(
        loss=pl.when(hurt).then(pl.col("loss") + 0.05).otherwise(pl.col("loss") - 0.2)
    ).select(tested.losses.columns)
    rival = tested
    new = replace(tested, losses=shifted, figures={**tested.figures, "ece": 0.0})
    spec_low = replace(spec, promote={**spec.promote, "slice_min_rows": 20})
    verdict = judge(new, rival, later, spec_low, against="x")
    assert not verdict.is_better
    assert verdict.reason.startswith("worse for size small")
    few = replace(spec, promote={**spec.promote, "slice_min_rows": 10_000})
    assert judge(new, rival, later, few, against="x").is_better
