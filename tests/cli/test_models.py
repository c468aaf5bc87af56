"""`prebill train` and `prebill models` as a user types them."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from prebill import registry
from prebill.cli import app
from prebill.core.errors import NotFoundError
from prebill.core.scoring.models.payment_risk import PaymentRisk, Rung
from prebill.settings import Settings
from prebill.store.engine import Store
from prebill.workflows import train as workflow
from tests.core.scoring.payers import payers


def invoke(*words: str) -> str:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def installed(settings: Settings, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("PREBILL_DATABASE_URL", sqlite_url)
    return Settings.load()


def register(settings: Settings, weight: float) -> None:
    bundle = registry.Bundle(
        "payment_risk", PaymentRisk(Rung.PRIOR, weight).to_bytes(), {"rung": "prior"}
    )
    registry.register(settings, bundle, parameters={}, metrics={}, documents={})


def test_promote_show_and_roll_back_are_audited(installed: Settings) -> None:
    register(installed, 0.0)
    register(installed, 0.5)
    assert "version 1" in invoke("models", "promote", "payment_risk", "1")
    invoke("models", "promote", "payment_risk", "2")
    listed = invoke("models", "list")
    assert "champion" in listed
    assert "previous" in listed
    assert "forest        in use: none, a rule" in listed
    assert "payment_risk.json" in invoke("models", "show", "payment_risk")
    assert "version 1" in invoke("models", "rollback", "payment_risk")
    with Store.open(installed.database_url) as store, store.read() as tx:
        actions = [row["action"] for row in tx.rows("SELECT action FROM audit_entries")]
    assert actions == ["model.promoted", "model.promoted", "model.rolled_back"]


def test_unknown_model_is_named(installed: Settings) -> None:
    with pytest.raises(NotFoundError, match="tarot"):
        invoke("train", "tarot")
    with pytest.raises(NotFoundError, match="prebill train forest"):
        invoke("models", "show", "forest")


def test_train_runs_as_a_process_of_its_own_and_puts_the_model_in_use(
    installed: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = payers(customers=60)
    given.invoices.write_parquet(tmp_path / "invoices.parquet")
    given.payments.write_parquet(tmp_path / "payments.parquet")
    code = workflow.train(installed, ["payment_risk"], data=tmp_path, overrides=["seed=7"])
    assert code == 0, capfd.readouterr().err
    assert "is champion: better" in capfd.readouterr().out
    assert registry.load_models(installed).payment_risk is not None
    with Store.open(installed.database_url) as store, store.read() as tx:
        assert tx.scalar("SELECT count(*) FROM audit_entries") == 1
