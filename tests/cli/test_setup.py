"""The commands that set up an installation, as somebody types them."""

from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from prebill.bundles import Bundle, Role, copy_of, put_in_use
from prebill.cli import app
from prebill.core.errors import InputError, NotFoundError, StorageError
from prebill.core.scoring.models.error_risk import ErrorSpec, fit_error_risk
from prebill.lake import Lake
from prebill.settings import Settings
from prebill.store import users
from prebill.store.engine import SCHEMA_REVISION, Store
from prebill.store.lake_index import record_batch
from tests.training.labels import labelled


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, (result.output, result.exception)
    return result


def fails(*arguments: str) -> BaseException:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is not None
    return result.exception


def init(*arguments: str) -> Result:
    """Without MLflow, which takes seconds to import."""
    return run("init", "--no-tracking", *arguments)


def shown(result: Result, label: str) -> str:
    line = next(line for line in result.output.splitlines() if line.startswith(label))
    return line.removeprefix(label).split()[0]


@pytest.fixture
def installed(home: Path) -> Result:
    return init()


def test_init_makes_database_lake_and_one_administrator(home: Path, installed: Result) -> None:
    settings = Settings.load()
    store = Store.open(settings.database_url)
    assert store.revision() == SCHEMA_REVISION
    assert settings.lake_dir.is_dir()
    with store.read() as tx:
        actor = users.verify_password(tx, "admin@localhost", shown(installed, "password"))
    store.close()
    assert actor.role is users.Role.ADMIN
    assert actor.must_change_password


def test_init_again_changes_nothing_and_shows_no_password(home: Path, installed: Result) -> None:
    again = init()
    assert "up to date" in again.output
    assert "password" not in again.output


def test_init_prepares_mlflow_and_goes_on_where_it_is_away(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "MLflow is ready" in run("init").output
    monkeypatch.setenv("PREBILL_MLFLOW_TRACKING_URI", f"sqlite:///{home}/absent/mlflow.db")
    assert "up to date" in run("init").output


def test_init_remembers_the_chosen_database(home: Path, tmp_path: Path) -> None:
    init("--database", f"sqlite:///{tmp_path}/mine.db", "--lake", str(tmp_path / "facts"))
    assert Settings.load().database_url == f"sqlite:///{tmp_path}/mine.db"
    assert Settings.load().lake_dir == tmp_path / "facts"
    assert (tmp_path / "mine.db").exists()


def test_init_on_postgresql(home: Path, postgresql_url: str) -> None:
    result = init("--database", postgresql_url)
    assert "up to date" in result.output  # the template has the tables already
    assert "password" in result.output
    assert "intact" in run("audit", "verify").output


def test_commands_before_init_say_what_to_do(home: Path) -> None:
    error = fails("user", "list")
    assert isinstance(error, StorageError)
    assert "prebill init" in str(error)


def test_wrong_database_url_is_refused_and_not_kept(home: Path) -> None:
    assert isinstance(fails("init", "--database", "oracle://x"), StorageError)
    assert not (home / "settings.toml").exists()


def test_user_and_token_live_and_end(home: Path, installed: Result) -> None:
    added = run("user", "add", "Bob@example.com", "--role", "reviewer")
    assert "bob@example.com" in run("user", "list").output
    made = run("token", "create", "bob@example.com", "--name", "ci")
    token = shown(made, "token     ")
    store = Store.open(Settings.load().database_url)
    with store.read() as tx:
        assert users.authenticate_token(tx, token).name == "Bob"
        assert users.verify_password(tx, "bob@example.com", shown(added, "password")).name == "Bob"
    store.close()
    run("token", "revoke", shown(made, "token id"))
    assert isinstance(fails("token", "create", "eve@example.com", "--name", "x"), NotFoundError)
    assert isinstance(fails("user", "add", "eve@example.com", "--role", "king"), InputError)


def test_what_these_commands_do_is_audited(home: Path, installed: Result) -> None:
    run("user", "add", "bob@example.com", "--role", "viewer")
    assert "2 not sealed yet" in run("audit", "verify").output
    assert "sealed 2" in run("audit", "seal").output
    assert "intact: 2 entries" in run("audit", "verify").output
    store = Store.open(Settings.load().database_url)
    with store.transaction() as tx:
        assert "bob" not in str(tx.rows("SELECT * FROM audit_entries"))
        tx.execute("UPDATE audit_entries SET actor = 'mallory' WHERE seq = 1")
    store.close()
    assert "entry_altered" in run("audit", "verify", code=1).output


def test_doctor_of_data_names_losses_and_the_rung(tmp_path: Path) -> None:
    due_on = pl.date_range(pl.date(2026, 1, 1), pl.date(2026, 3, 1), eager=True)
    frame = pl.DataFrame({"due_on": due_on.cast(pl.String)}).select(
        pl.int_range(pl.len()).alias("invoice_id"),
        pl.lit("c").alias("customer_id"),
        pl.lit("EUR").alias("currency"),
        pl.lit("2026-02-01").alias("issued_on"),
        "due_on",
        pl.lit("100").alias("total_minor"),
        pl.lit("x").alias("colour"),
    )
    frame.write_csv(tmp_path / "invoices.csv")
    (tmp_path / "other.csv").write_text("a\n1\n")
    output = run("doctor", "--data", str(tmp_path), code=1).output
    assert "60 rows, 6 of 12 columns; ignored: colour" in output
    assert "payments" in output
    assert "31 of 60 invoices" in output
    assert "rung prior" in output
    assert "P(error)" in output
    assert "other.csv" in output


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00broken"])
def test_doctor_of_unusable_data_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "invoices.parquet").write_bytes(content)
    assert isinstance(fails("doctor", "--data", str(tmp_path)), InputError)
    assert isinstance(fails("doctor", "--data", str(tmp_path / "absent")), InputError)


def test_doctor_says_what_is_missing_before_init(home: Path) -> None:
    output = run("doctor", code=1).output
    assert "prebill init" in output


def test_doctor_of_a_fresh_installation_finds_nothing_missing(
    home: Path, installed: Result
) -> None:
    assert "missing" not in run("doctor").output


def test_doctor_says_which_models_answer_and_what_answers_without_them(
    home: Path, installed: Result
) -> None:
    settings = Settings.load()
    output = run("doctor").output
    assert "none, P(error) is the stated prior: `prebill train error_risk` makes one" in output
    assert "none, robust deviations judge the level" in output
    assert "0 mature, 0 confirmed errors; P(error) needs 200" in output

    rows = labelled(3_000).with_columns(calibrates=pl.lit(value=True))
    fitted = fit_error_risk(rows, ("anomaly_score", "total_ratio"), 1, ErrorSpec(rounds=5))
    assert fitted is not None
    facts = {"rung": "small", "rows": 3_000, "train_before": "2026-07-01"}
    champion = Bundle("error_risk", fitted.to_bytes(), facts)
    put_in_use(settings, champion, Role.CHAMPION, 1)
    assert f"{champion.digest[:12]} 3,000 rows before 2026-07-01 rung small" in run("doctor").output

    trees = copy_of(settings, "error_risk", champion.digest) / "trees.txt"
    trees.write_bytes(trees.read_bytes().replace(b"0.", b"9.", 1))
    output = run("doctor", code=1).output
    assert "trees.txt was altered" in output
    assert "payment figures are a stated prior" in output


def test_doctor_names_every_batch_of_the_lake_that_is_lost_or_altered(
    home: Path, installed: Result
) -> None:
    settings = Settings.load()
    frame = pl.DataFrame(
        {"payment_id": ["a"], "invoice_id": ["i"], "amount_minor": [5]},
        schema_overrides={"amount_minor": pl.Int64},
    ).with_columns(paid_on=pl.date(2026, 10, 1))
    lake = Lake(settings.lake_dir)
    with Store.open(settings.database_url) as store, store.transaction() as tx:
        for name in ("whole", "lost", "cut", "altered"):
            record_batch(tx, lake.append("payments", frame, name))
    assert "4 batches, each as it was written" in run("doctor").output
    paths = {
        path.parent.name.removeprefix("batch_id="): path
        for path in settings.lake_dir.rglob("*.parquet")
    }
    contents = {name: path.read_bytes() for name, path in paths.items()}
    paths["lost"].unlink()
    paths["cut"].write_bytes(contents["cut"][:-9])
    paths["altered"].write_bytes(contents["altered"].replace(b"delta-rs", b"delta-RS"))
    told = [line for line in run("doctor", code=1).output.splitlines() if "payments" in line]
    assert [line.split()[:2] for line in told] == [["missing", "lake"]] * 3
    assert str(paths["altered"]) in told[0]
    assert f"{paths['cut']} of the lake table payments is damaged" in told[1]
    assert "(lost first)" in told[2]
    (settings.lake_dir / "payments").rename(settings.lake_dir / "away")
    assert "lacks 1 of 1 batches of payments" in run("doctor", code=1).output
    settings.lake_dir.rename(home / "away")
    assert "the database names 4 batches of it" in run("doctor", code=1).output
