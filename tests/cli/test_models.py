"""`prebill train`, `models` and `dataset` as users type them."""

import json
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from prebill import registry
from prebill.bundles import load_models
from prebill.cli import app
from prebill.core.errors import ForbiddenError, NotFoundError, UnauthenticatedError
from prebill.registry import Logged
from prebill.settings import Settings
from prebill.store import users
from prebill.store.engine import Store
from prebill.workflows import train as workflow
from tests.core.scoring.payers import payers
from tests.test_bundles import bundle


def invoke(*words: str, token: str = "") -> str:
    done = CliRunner().invoke(
        app, list(words), catch_exceptions=False, env={"PREBILL_TOKEN": token}
    )
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def installed(tracked: Settings, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("PREBILL_DATABASE_URL", sqlite_url)
    return Settings.load()


@dataclass(frozen=True)
class Tokens:
    """Of two controllers and a reviewer."""

    ann: str
    ben: str
    reviewer: str


@pytest.fixture
def tokens(installed: Settings) -> Tokens:
    roles = {"ann": "controller", "ben": "admin", "reviewer": "reviewer"}
    made = {}
    with Store.open(installed.database_url) as store, store.transaction() as tx:
        for name, role in roles.items():
            actor = users.create_user(
                tx,
                f"{name}@example.com",
                name=name.title(),
                role=users.Role.named(role),
                password="correct horse battery",
            )
            made[name] = users.create_token(tx, actor.user_id, name="test")[1]
    return Tokens(**made)


def register(settings: Settings, weight: float, against: str = "") -> registry.Version:
    tags = {registry.PASSED: "yes", registry.AGAINST: against, registry.VERDICT: "better: a test"}
    return registry.register(settings, bundle(weight), Logged(), tags=tags)


def test_promotion_and_rollback_from_first_to_back(installed: Settings, tokens: Tokens) -> None:
    first = register(installed, 0.0)
    register(installed, 0.5, against=first.digest)
    command = ("models", "promote", "payment_risk")
    # There is no champion yet: one person is enough.
    assert "version 1" in invoke(*command, "1", token=tokens.ann)
    proposed = invoke(*command, "2", token=tokens.ann)
    assert "a second person approves with `prebill models promote payment_risk 2`" in proposed
    assert "Ann proposes to promote to version 2" in invoke("models", "list")
    with pytest.raises(ForbiddenError, match="somebody else must approve"):
        invoke(*command, "2", token=tokens.ann)
    with pytest.raises(ForbiddenError, match="controller"):
        invoke(*command, "2", token=tokens.reviewer)
    with pytest.raises(UnauthenticatedError, match="PREBILL_TOKEN"):
        invoke(*command, "2")
    assert "is in use" in invoke(*command, "2", token=tokens.ben)

    listed = invoke("models", "list")
    assert "champion" in listed
    assert "previous" in listed
    assert "none, a rule" in listed
    shown = invoke("models", "show", "payment_risk")
    assert "payment_risk.json" in shown
    assert "promote to version 2, live, second_person, Ben" in shown

    invoke("models", "rollback", "payment_risk", "--reason", "too late", token=tokens.ben)
    assert "version 1" in invoke("models", "rollback", "payment_risk", token=tokens.ann)
    with Store.open(installed.database_url) as store, store.read() as tx:
        rows = tx.rows("SELECT action FROM audit_entries WHERE action LIKE 'model.%' ORDER BY seq")
    first_one = ["model.proposed", "model.approved", "model.promoted"]
    back = ["model.proposed", "model.approved", "model.rolled_back"]
    assert [row["action"] for row in rows] == [*first_one, *first_one, *back]


def test_proposal_can_be_withdrawn_and_copies_fetched(installed: Settings, tokens: Tokens) -> None:
    first = register(installed, 0.0)
    register(installed, 0.5, against=first.digest)
    invoke("models", "promote", "payment_risk", "1", token=tokens.ann)
    invoke("models", "promote", "payment_risk", "2", token=tokens.ann)
    assert "withdrawn" in invoke("models", "withdraw", "payment_risk", token=tokens.ann)
    assert "proposes" not in invoke("models", "list")
    assert "all copies are as recorded" in invoke("models", "fetch")


def test_unknown_model_is_named(installed: Settings) -> None:
    with pytest.raises(NotFoundError, match="tarot"):
        invoke("train", "tarot")
    with pytest.raises(NotFoundError, match="tarot"):
        invoke("models", "compare", "tarot")
    with pytest.raises(NotFoundError, match="prebill train forest"):
        invoke("models", "show", "forest")
    with pytest.raises(NotFoundError, match="has no challenger"):
        invoke("models", "compare", "forest", "--shadow")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    given = payers(customers=60)
    place = tmp_path / "data"
    place.mkdir()
    given.invoices.write_parquet(place / "invoices.parquet")
    given.payments.write_parquet(place / "payments.parquet")
    return place


def test_train_runs_as_a_process_of_its_own_and_puts_the_first_model_in_use(
    installed: Settings, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = workflow.run(installed, ["fit", "payment_risk", "--set=seed=7"], data=folder)
    printed = capfd.readouterr()
    assert code == 0, printed.err
    assert "is champion: better" in printed.out
    assert load_models(installed).payment_risk is not None
    with Store.open(installed.database_url) as store, store.read() as tx:
        assert tx.scalar("SELECT count(*) FROM audit_entries") == 3


def test_exported_rows_fit_the_same_model_again(
    installed: Settings, folder: Path, tmp_path: Path
) -> None:
    from training.dataset import from_folder
    from training.fit import RECIPES, train
    from training.specification import read

    for name in RECIPES.keys() - {"error_risk"}:  # a folder has no labels
        spec = read(installed.model_specs_dir, name)
        trained = train(from_folder(folder), spec)
        out = tmp_path / f"{name}.parquet"
        as_of = trained.split.train_before.isoformat()
        words = ("dataset", "export", name, "--as-of", as_of, "--out", str(out))
        invoke(*words, "--data", str(folder))
        rows = pl.read_parquet(out)
        assert dict(RECIPES[name].fit(rows, spec).files) == dict(trained.bundle.files)
        manifest = json.loads((tmp_path / f"{name}.parquet.manifest.json").read_text("utf-8"))
        assert manifest["rows"] == rows.height
        assert manifest["as_of_on"] == as_of
        assert [column["name"] for column in manifest["columns"]] == rows.columns
        features = [one["name"] for one in manifest["columns"] if one["is_feature"]]
        assert all(one["sources"] for one in manifest["columns"] if one["is_feature"])
        assert features == list(RECIPES[name].columns)
        assert set(manifest["data"]["versions"]) == {"invoices.parquet", "payments.parquet"}


def test_features_of_a_model_say_what_they_declare() -> None:
    shown = invoke("models", "features", "error_risk")
    assert "largest_share: share of the largest line" in shown
    assert "invoice_lines.amount_minor" in shown
    assert "Use: variance. Owner: billing operations" in shown
    assert "Owner: credit control" in invoke("models", "features", "payment_risk")
