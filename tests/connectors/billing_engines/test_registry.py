"""Every billing engine has a whole manifest, and no two have one name."""

import json
from pathlib import Path

import pytest

from prebill.connectors.billing_engines.base import Engine
from prebill.connectors.billing_engines.registry import engines_of
from prebill.contracts import load_catalog
from prebill.core.errors import InputError
from prebill.settings import Settings
from tests.connectors.billing_engines.shapes import KEY, SECRET

CONTRACTS = Path(__file__).parents[3] / "data_contracts"
LAGO = {"lago": {"url": "https://relay.example/hook", "secret": "whsec_x"}}


def every(home: Path) -> dict[str, Engine]:
    given = {"stripe_api_key": KEY, "stripe_webhook_secret": SECRET, "engines": LAGO}
    return engines_of(Settings.load(home, **given))


@pytest.mark.parametrize("name", ["stripe", "lago"])
def test_manifest_names_contracts_that_exist(home: Path, name: str) -> None:
    engine = every(home)[name]
    manifest = engine.manifest
    assert manifest.system == name
    catalog = load_catalog(CONTRACTS)
    for contract in (*manifest.contracts_in, *manifest.contracts_out):
        assert catalog[contract].name == contract
    engine.close()


def test_nothing_is_set_up_without_its_secrets(home: Path) -> None:
    assert engines_of(Settings.load(home)) == {}
    assert engines_of(Settings.load(home, stripe_api_key=KEY)) == {}


@pytest.mark.parametrize("name", ["stripe", "hook", "files", "webhook", "Lago", "a/b", ""])
def test_names_that_are_taken_or_unfit_are_refused(home: Path, name: str) -> None:
    with pytest.raises(InputError, match="can't be called"):
        engines_of(Settings.load(home, engines={name: LAGO["lago"]}))


def test_engines_come_from_the_environment_and_stay_secret(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREBILL_ENGINES", json.dumps(LAGO))
    settings = Settings.load()
    assert settings.engines["lago"].secret.get_secret_value() == "whsec_x"
    assert "whsec_x" not in repr(settings)
    monkeypatch.setenv("PREBILL_ENGINES", '{"lago": {"url": "x", "secret": "whsec_x", "no": 1}}')
    with pytest.raises(InputError) as refused:
        Settings.load()
    assert "whsec_x" not in str(refused.value)
    monkeypatch.setenv("PREBILL_ENGINES", "whsec_x is no JSON")
    with pytest.raises(InputError, match="no JSON object") as refused:
        Settings.load()
    assert "whsec_x" not in str(refused.value)
