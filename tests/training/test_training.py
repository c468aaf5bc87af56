"""`python -m training` from folder to champion: promoted only if better, reproducible."""

from pathlib import Path

import polars as pl
import pytest

from prebill import registry
from prebill.settings import Settings
from tests.core.scoring.payers import payers
from training.__main__ import main
from training.dataset import from_folder
from training.fit import train_payment_risk
from training.promote import compare
from training.specification import Specification, read

SHARED = Path(__file__).parent.parent.parent.parent / "shared" / "data" / "receivables"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("data")
    given = payers(customers=60)
    given.invoices.write_parquet(place / "invoices.parquet")
    given.payments.write_csv(place / "payments.csv")
    return place


def specified(*overrides: str) -> Specification:
    return read(Settings.load().model_specs_dir, "payment_risk", overrides)


def test_first_model_is_promoted_the_same_again_is_not_and_a_worse_one_neither(
    settings: Settings, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = ["fit", "payment_risk", "--data", str(folder)]
    assert main(fit) == 0
    assert "payment_risk version 1 is champion: better" in capsys.readouterr().out
    loaded = registry.load_models(settings)
    assert loaded.payment_risk is not None

    assert main(fit) == 0
    assert "equal to the champion in every byte" in capsys.readouterr().out

    assert main([*fit, "--set=fit.binary_rounds=1", "--set=fit.hazard_rounds=1"]) == 0
    assert "version 2 is not promoted" in capsys.readouterr().out
    assert registry.load_models(settings).versions == loaded.versions


def test_equal_data_seed_and_specification_give_equal_bytes(folder: Path) -> None:
    first = train_payment_risk(from_folder(folder), specified())
    again = train_payment_risk(from_folder(folder), specified())
    assert first.bundle.manifest == again.bundle.manifest
    assert dict(first.bundle.files) == dict(again.bundle.files)


def test_champion_is_compared_only_on_rows_that_it_has_not_learnt(folder: Path) -> None:
    spec = specified("fit.binary_rounds=50", "fit.hazard_rounds=20")
    trained = train_payment_risk(from_folder(folder), spec)
    late = registry.Bundle(
        "payment_risk",
        trained.bundle.files,
        {**trained.bundle.facts, "train_before": str(trained.split.test_end_on)},
    )
    verdict = compare(trained, late, spec)
    assert not verdict.is_better
    assert "only 0 outcomes are newer" in verdict.reason


def test_better_model_is_told_from_a_worse_one_on_the_same_rows(folder: Path) -> None:
    dataset = from_folder(folder)
    good = train_payment_risk(dataset, specified())
    poor = train_payment_risk(
        dataset, specified("fit.binary_rounds=2", "fit.hazard_rounds=2", "fit.hazard_rate=0.01")
    )
    assert compare(good, poor.bundle, specified()).is_better
    worse = compare(poor, good.bundle, specified())
    assert not worse.is_better
    assert worse.gain < 0


def test_without_payments_payment_risk_says_so_and_fails(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payers(customers=5).invoices.write_parquet(tmp_path / "invoices.parquet")
    assert main(["fit", "payment_risk", "--data", str(tmp_path)]) == 3
    assert "import payments" in capsys.readouterr().err
    assert registry.load_models(settings).payment_risk is None


def test_folder_without_invoices_is_an_error(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "--data", str(tmp_path)]) == 3
    assert "invoices" in capsys.readouterr().err


def test_evaluate_prints_a_table(
    settings: Settings, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", "--data", str(folder), "--cuts", "1"]
    assert main([*arguments, "--set=fit.binary_rounds=40", "--set=fit.hazard_rounds=20"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("| model | AUROC | AP | Brier |")
    assert "payment risk (small), as one batch" in printed


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not here")
def test_receivables_beat_the_customers_own_past() -> None:
    trained = train_payment_risk(from_folder(SHARED), specified())
    found, simple = trained.tested.figures, trained.simple.figures
    assert found["brier"] < simple["brier"] - 0.02
    assert found["mae_days"] < simple["mae_days"]
    assert found["ece"] < found["ece_if_perfect"] + 0.01


def test_forest_is_trained_and_served_from_the_registry(settings: Settings, folder: Path) -> None:
    assert main(["fit", "forest", "--data", str(folder), "--set=fit.planted_factor=9"]) == 0
    forest = registry.load_models(settings).forest
    assert forest is not None
    columns = pl.DataFrame({name: [0.0, 5.0] for name in forest.columns})
    low, high = forest.score(columns)
    assert low < high
