"""Settings: what is derived, what wins, and that secrets stay secret."""

from pathlib import Path

import pytest

from prebill.core.errors import InputError, StorageError
from prebill.settings import KEPT_NAME, Settings, keep


def test_everything_is_derived_from_the_home(home: Path) -> None:
    settings = Settings.load()
    assert settings.home == home
    assert settings.database_url == f"sqlite:///{home / 'prebill.db'}"
    assert settings.lake_dir == home / "lake"
    assert settings.delivery_dir == home / "delivered"
    assert settings.mlflow_tracking_uri == f"sqlite:///{home / 'mlflow.db'}"
    assert settings.policy_path is None


def test_environment_wins_over_derived_and_arguments_over_both(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREBILL_LAKE_DIR", str(tmp_path / "elsewhere"))
    assert Settings.load().lake_dir == tmp_path / "elsewhere"
    other = Settings.load(tmp_path / "other", lake_dir=tmp_path / "third")
    assert (other.home, other.lake_dir) == (tmp_path / "other", tmp_path / "third")
    assert other.database_url == f"sqlite:///{tmp_path / 'other' / 'prebill.db'}"


def test_empty_variable_counts_as_not_set(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREBILL_DATABASE_URL", "")
    monkeypatch.setenv("PREBILL_WEBHOOK_URL", "")
    settings = Settings.load()
    assert settings.database_url.startswith("sqlite:///")
    assert settings.webhook_url is None


def test_kept_settings_are_found_again_and_the_environment_wins(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(home, lake_dir=str(tmp_path / "kept"))
    keep(home, database_url="postgresql+psycopg://prebill:it's@host/db")
    assert (home / KEPT_NAME).stat().st_mode & 0o777 == 0o600
    assert Settings.load().lake_dir == tmp_path / "kept"
    assert Settings.load().database_url == "postgresql+psycopg://prebill:it's@host/db"
    monkeypatch.setenv("PREBILL_LAKE_DIR", str(tmp_path / "env"))
    assert Settings.load().lake_dir == tmp_path / "env"


def test_broken_kept_settings_are_an_error(home: Path) -> None:
    (home / KEPT_NAME).write_text("lake_dir = ")
    with pytest.raises(InputError, match="mend or remove"):
        Settings.load()


def test_secrets_are_not_printed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREBILL_WEBHOOK_SECRET", "hush-hush")
    settings = Settings.load()
    assert settings.webhook_secret is not None
    assert settings.webhook_secret.get_secret_value() == "hush-hush"
    key = settings.secret_key.get_secret_value()
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert "hush-hush" not in shown
        assert key not in shown


def test_secret_key_is_made_once_for_its_owner_alone(settings: Settings) -> None:
    key = settings.secret_key.get_secret_value()
    assert len(key) == 64
    assert Settings.load(settings.home).secret_key.get_secret_value() == key
    assert (settings.home / "secret.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in settings.home.iterdir()] == ["secret.key"]


def test_secret_key_that_can_not_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="secret key"):
        _ = Settings.load(tmp_path / "file" / "home").secret_key


def test_wrong_value_is_named_and_no_secret_shown(home: Path) -> None:
    with pytest.raises(InputError, match="webhook_secret") as caught:
        Settings.load(webhook_secret=["hush-hush"])
    assert "hush-hush" not in str(caught.value)
