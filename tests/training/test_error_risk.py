"""P(error) from labels: read from an installation, left out while few, promoted if better."""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from prebill.bootstrap import Installation
from prebill.bundles import Role, in_use, load_models
from prebill.core.policy.model import Policy
from prebill.core.scoring.models import Models
from prebill.core.scoring.models.error_risk import ErrorRisk
from prebill.core.scoring.scorer import score
from prebill.settings import Settings
from prebill.store.cases import save_label
from tests.core.scoring.company import company, with_calls
from tests.core.scoring.payers import payers
from tests.training.labels import labelled
from tests.workflows import world
from training.__main__ import main
from training.dataset import Dataset, from_folder, from_home
from training.error_risk import TooFewLabelsError
from training.fit import prepare, train
from training.labelled import COLUMNS, LABELLED, read_labelled
from training.run import Wish, run
from training.specification import Specification, read

TODAY = datetime.now(UTC).date()
QUICK = ("fit.rounds=40",)
ONE = "C003-202512"


def specified(*overrides: str) -> Specification:
    return read(Settings.load().model_specs_dir, "error_risk", overrides)


@pytest.fixture
def opened(database_url: str, home: Path) -> Iterator[Installation]:
    installed = world.install(database_url, home)
    yield installed
    while world.OPENED:
        world.OPENED.pop().close()


def dataset(tmp_path: Path, rows: pl.DataFrame) -> Dataset:
    given = payers(customers=5)
    given.invoices.write_parquet(tmp_path / "invoices.parquet")
    return replace(from_folder(tmp_path), labelled=rows)


def test_labels_find_the_feature_rows_of_the_version_that_was_decided(
    opened: Installation,
) -> None:
    assert read_labelled(opened, TODAY).is_empty()
    world.run(opened)
    decided = world.rows(
        opened,
        "SELECT 'draft' AS kind, draft_id, draft_version, anomaly_score FROM decisions "
        "ORDER BY draft_id",
    )
    with opened.store.transaction() as tx:
        for row, is_error in zip(decided, (True, False, True), strict=False):
            save_label(tx, row, is_error=is_error, reason_code="amount", actor="tester")
        other = decided[3] | {"draft_version": "another"}
        save_label(tx, other, is_error=True, reason_code="amount", actor="tester")
    found = read_labelled(opened, TODAY + timedelta(days=1))
    expected = {row["draft_id"]: row["anomaly_score"] for row in decided[:3]}
    assert expected == dict(found.select("invoice_id", "anomaly_score").iter_rows())
    assert found.sort("invoice_id")["is_error"].to_list() == [True, False, True]
    assert dict(found.schema) == dict(LABELLED)
    assert found["known"].null_count() == 0
    assert found["tail_level"].null_count() < 3


def test_few_labels_are_said_and_stop_no_other_model(
    opened: Installation,
    tracked: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PREBILL_DATABASE_URL", opened.settings.database_url)
    world.run(opened)
    decided = world.rows(opened, "SELECT draft_id, draft_version FROM decisions ORDER BY draft_id")
    with opened.store.transaction() as tx:
        case = decided[0] | {"kind": "draft"}
        save_label(tx, case, is_error=True, reason_code="amount", actor="tester")
    # capsys would close a stream that the workflow engine keeps.
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert main(["fit", "error_risk", "--home", str(opened.settings.home)]) == 3
    told = "error_risk: left out: 1 of the 200 confirmed errors that it needs"
    assert told in said.getvalue()
    assert load_models(tracked).error_risk is None
    assert from_home(opened.settings.home).labelled.height == 1


def test_better_than_the_prior_becomes_champion_and_answers(
    tracked: Settings,
    sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PREBILL_DATABASE_URL", sqlite_url)
    installed = Settings.load()
    run(installed, dataset(tmp_path, labelled()), specified(*QUICK), Wish(), print)
    assert "error_risk version 1 is champion: better" in capsys.readouterr().out
    champion = in_use(installed, "error_risk", Role.CHAMPION)
    assert champion is not None
    assert champion.facts["rung"] == "small"
    models = load_models(installed)
    assert models.error_risk is not None
    inputs = with_calls(company(), ONE, 400)
    learnt = score(inputs, models, Policy.default())
    stated = score(inputs, Models(), Policy.default())
    assert set(learnt.decisions["p_error_basis"]) == {"labels"}
    assert set(stated.decisions["p_error_basis"]) == {"prior"}
    assert learnt.decisions["anomaly_score"].equals(stated.decisions["anomaly_score"])
    assert not learnt.decisions["p_error"].equals(stated.decisions["p_error"])
    assert learnt.feature_rows.equals(stated.feature_rows)
    [card] = (installed.home / "mlflow-artifacts").rglob("model_card.md")
    assert "Sources of labels" in card.read_text(encoding="utf-8")


def test_labels_of_later_days_change_no_byte_of_the_model(tmp_path: Path) -> None:
    rows = labelled()
    ready = prepare(dataset(tmp_path, rows), specified(*QUICK))
    is_later = pl.col("day_on") >= ready.split.train_before
    flipped = rows.with_columns(
        is_error=pl.when(is_later).then(~pl.col("is_error")).otherwise("is_error")
    )
    first = train(dataset(tmp_path, rows), specified(*QUICK))
    second = train(dataset(tmp_path, flipped), specified(*QUICK))
    assert dict(first.bundle.files) == dict(second.bundle.files)
    assert first.tested.figures["brier"] < second.tested.figures["brier"]


def test_the_sample_stands_for_what_nobody_looked_at(tmp_path: Path) -> None:
    """Held drafts are wrong more often than released ones: the weights bring P(error) down."""
    rows = labelled()
    is_released = pl.col("anomaly_score") < 0.8
    chosen = pl.int_range(pl.len()) % 20 == 0
    sampled = rows.with_columns(
        propensity=pl.when(is_released).then(0.05),
        source=pl.when(is_released).then(pl.lit("sample")).otherwise("source"),
    ).filter(~is_released | chosen)
    spec = specified(*QUICK, "fit.least_errors=100")
    bare = sampled.with_columns(propensity=pl.lit(None, dtype=pl.Float64))
    released = rows.filter(is_released)
    truth = float(released["is_error"].cast(pl.Float64).to_numpy().mean())
    said = []
    for given in (sampled, bare):
        bundle = train(dataset(tmp_path, given), spec).bundle
        model = ErrorRisk.from_bytes(dict(bundle.files))
        said.append(float(model.predict(released).to_numpy().mean()))
    assert abs(said[0] - truth) < abs(said[1] - truth)


def test_one_sided_labels_are_left_out(tmp_path: Path) -> None:
    rows = labelled(4_000)
    last = rows.with_columns(
        is_error=pl.col("is_error")
        & (pl.col("day_on") < pl.col("day_on").max() - timedelta(days=40))
    )
    with pytest.raises(TooFewLabelsError, match="nothing to measure on"):
        prepare(dataset(tmp_path, last), specified(*QUICK))


def test_the_columns_hold_no_id_and_nothing_of_the_outcome() -> None:
    outcome = {"is_error", "source", "weight", "propensity", "was_shown", "matures_on", "p_prior"}
    assert not outcome & {*COLUMNS}
    assert not [name for name in COLUMNS if name.endswith("_id")]
