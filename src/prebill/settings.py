"""Where things are and which secrets are used: one object, read once from the environment.

Every value may be given as ``PREBILL_<NAME>``. Secrets are ``SecretStr``, so that printing the
settings prints none of them. Policy, prices and limits are no settings: they have their own life.
"""

import json
import os
import secrets
import tomllib
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from prebill.core.errors import InputError, StorageError

#: Settings that `prebill init` keeps in the home; the environment wins over them.
KEPT_NAME = "settings.toml"

_REPOSITORY = Path(__file__).resolve().parent.parent.parent


def _beside(name: str) -> Path:
    """A folder of the repository, else the one of that name in the working folder."""
    inside = _REPOSITORY / name
    return inside if inside.is_dir() else Path(name)


class EngineSettings(BaseModel):
    """One engine: where it hears decisions, and the secret that signs both ways."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    secret: SecretStr


class Settings(BaseSettings):
    """All settings; what is left out is derived from ``home``."""

    model_config = SettingsConfigDict(env_prefix="PREBILL_", extra="ignore", frozen=True)

    #: Everything that Prebill itself writes lies below it.
    home: Path = Path("prebill-data")
    #: sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME.
    database_url: str = ""
    lake_dir: Path = Path()
    #: Data contracts (YAML) of the repository.
    contracts_dir: Path = Path()
    #: Verified local copies of the models that the service uses.
    models_dir: Path = Path()
    #: model.toml and model_card.md of every model, from the repository.
    model_specs_dir: Path = Path()
    mlflow_tracking_uri: str = ""
    #: The policy in force until a version in the database is activated; None: the default.
    policy_path: Path | None = None
    #: Where the files connector puts issued documents.
    delivery_dir: Path = Path()
    webhook_url: str | None = None
    webhook_secret: SecretStr | None = None
    #: Stripe Billing: its key, the secret of the webhook endpoint, and where its API is.
    stripe_api_key: SecretStr | None = None
    stripe_webhook_secret: SecretStr | None = None
    stripe_api_url: str = "https://api.stripe.com"
    #: Other engines that send signed webhooks: JSON object, name → {"url": …, "secret": …}.
    engines: dict[str, EngineSettings] = {}
    #: Alerts: limits, owners and escalation (TOML); None: the limits that come with Prebill.
    alerts_path: Path | None = None
    #: smtp://HOST:587 (STARTTLS; plain on loopback) or smtps://HOST:465; no user in it.
    smtp_url: str | None = None
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_from: str = "prebill@localhost"
    alert_webhook_url: str | None = None
    alert_webhook_secret: SecretStr | None = None
    #: Where people reach the console; alerts link to it.
    public_url: str | None = None
    #: Share of cases (0 to 1) in which no action is recommended: what do people do by themselves?
    withheld_share: float = Field(0.2, ge=0.0, le=1.0)
    #: One person may put a model in use; counts only where nobody else could approve.
    unattended_promotion: bool = False

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, given: dict[str, Any]) -> dict[str, Any]:
        home = Path(given.get("home") or "prebill-data").expanduser().resolve()
        derived: dict[str, Any] = {
            "database_url": f"sqlite:///{home / 'prebill.db'}",
            "lake_dir": home / "lake",
            "contracts_dir": _beside("data_contracts"),
            "models_dir": home / "models",
            "model_specs_dir": _beside("models"),
            "mlflow_tracking_uri": f"sqlite:///{home / 'mlflow.db'}",
            "delivery_dir": home / "delivered",
        }
        given = {name: value for name, value in given.items() if value not in (None, "")}
        return {**derived, **_kept(home), **given, "home": home}

    @classmethod
    def load(cls, home: Path | str | None = None, **given: object) -> Self:
        """Read the environment; arguments win over it.

        Raises
        ------
        InputError
            A value has the wrong form; the message names it and never shows a secret.
        """
        chosen: dict[str, Any] = {n: value for n, value in given.items() if value is not None}
        if home is not None:
            chosen["home"] = Path(home)
        try:
            return cls(**chosen)
        except ValidationError as error:
            names = ", ".join(".".join(map(str, e["loc"])) or "settings" for e in error.errors())
            message = f"wrong settings: {names}; see the PREBILL_ variables in docs/operations.md"
            raise InputError(message, settings=names) from None
        except SettingsError:
            message = "wrong settings: PREBILL_ENGINES is no JSON object; see docs/gate.md"
            raise InputError(message, settings="engines") from None

    @property
    def audit_heads_path(self) -> Path:
        """File outside the database in which the heads of the audit chain are kept."""
        return self.home / "audit_heads.log"

    @property
    def secret_key(self) -> SecretStr:
        """Key that signs sessions; made at first use, readable by its owner alone.

        Raises
        ------
        StorageError
            The key can't be read or written.
        """
        path = self.home / "secret.key"
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                _write_new_key(path)
            return SecretStr(path.read_text(encoding="ascii").strip())
        except OSError as error:
            message = f"the secret key {path} can't be read or made ({error.strerror})"
            raise StorageError(message, path=str(path)) from error


def keep(home: Path, **chosen: str) -> None:
    """Keep what `prebill init` was told in the home, so that later commands needn't be told again.

    The file may hold the database's password: it is readable by its owner alone.
    """
    values = {**_kept(home), **chosen}
    # A JSON string is a TOML string too.
    lines = [f"{name} = {json.dumps(value)}" for name, value in sorted(values.items())]
    home.mkdir(parents=True, exist_ok=True)
    _write_private(home / KEPT_NAME, "\n".join(lines) + "\n")


def _kept(home: Path) -> dict[str, Any]:
    path = home / KEPT_NAME
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"{path} can't be read: mend or remove it ({error})"
        raise InputError(message, path=str(path)) from None


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _write_new_key(path: Path) -> None:
    """Write a new key under another name first: a second process sees a whole key or none."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    _write_private(draft, secrets.token_hex(32))
    try:
        os.link(draft, path)  # fails where another process was faster: its key stays
    except FileExistsError:
        pass
    finally:
        draft.unlink()
