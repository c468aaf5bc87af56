"""Registry: registered, promoted, rolled back; local copies verified; MLflow may be away."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from prebill import registry
from prebill.core.errors import ModelError, NotFoundError, TransientError
from prebill.core.scoring.models.payment_risk import PaymentRisk, Rung
from prebill.registry import Bundle, Version
from prebill.settings import Settings


def bundle(weight: float = 0.0) -> Bundle:
    """A payment risk model of the lowest rung: no fit needed."""
    return Bundle("payment_risk", PaymentRisk(Rung.PRIOR, weight).to_bytes(), {"seed": 1})


def registered(settings: Settings, weight: float = 0.0) -> Version:
    return registry.register(
        settings, bundle(weight), parameters={"seed": 1}, metrics={"brier": 0.1}, documents={}
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables take seconds to make: made once, copied for each test."""
    home = tmp_path_factory.mktemp("mlflow")
    registry.prepare(Settings.load(home))
    return home / "mlflow.db"


@pytest.fixture
def tracked(settings: Settings, prepared: Path) -> Settings:
    settings.home.mkdir(parents=True, exist_ok=True)
    (settings.home / "mlflow.db").write_bytes(prepared.read_bytes())
    return settings


def away(settings: Settings) -> Settings:
    """The same installation while MLflow's store can't be reached."""
    return Settings.load(
        settings.home, mlflow_tracking_uri=f"sqlite:///{settings.home}/mlflow.db/no/folder.db"
    )


def test_promoted_version_is_loaded_and_the_one_before_comes_back(tracked: Settings) -> None:
    assert registry.load_models(tracked).payment_risk is None
    first, second = registered(tracked, 0.0), registered(tracked, 0.5)
    assert (first.number, second.number) == (1, 2)
    registry.promote(tracked, "payment_risk", 1)
    registry.promote(tracked, "payment_risk", 2)
    assert registry.champion(tracked, "payment_risk").digest == second.digest
    aliases = {version.number: version.aliases for version in _versions(tracked)}
    assert aliases == {2: ("champion",), 1: ("previous",)}

    assert registry.rollback(tracked, "payment_risk").number == 1
    loaded = registry.load_models(tracked)
    assert loaded.payment_risk.binary_weight == 0.0
    assert loaded.versions == {"payment_risk": loaded.payment_risk.digest}
    assert registry.rollback(tracked, "payment_risk").number == 2


def test_what_does_not_exist_is_named(tracked: Settings) -> None:
    registered(tracked)
    with pytest.raises(NotFoundError, match="no version 7"):
        registry.promote(tracked, "payment_risk", 7)
    with pytest.raises(NotFoundError, match="no earlier champion"):
        registry.rollback(tracked, "payment_risk")
    with pytest.raises(NotFoundError, match="no model 'tarot'"):
        registry.versions(tracked, "tarot")


def test_scoring_goes_on_when_mlflow_is_away(tracked: Settings) -> None:
    registry.promote(tracked, "payment_risk", registered(tracked).number)
    cut_off = away(tracked)
    assert registry.load_models(cut_off).payment_risk is not None
    with pytest.raises(TransientError, match="does not answer"):
        registry.versions(cut_off, "payment_risk")
    notes = registry.refresh(cut_off)
    assert len(notes) == 2
    assert all("last verified copy stays in use" in note for note in notes)
    assert registry.load_models(cut_off).payment_risk is not None


def test_refresh_fetches_what_another_machine_promoted(tracked: Settings, tmp_path: Path) -> None:
    registry.promote(tracked, "payment_risk", registered(tracked).number)
    other = Settings.load(tracked.home, models_dir=tmp_path / "other")
    assert registry.load_models(other).payment_risk is None
    assert registry.refresh(other) == []
    assert registry.load_models(other).payment_risk is not None


def test_altered_registered_artifact_is_refused(tracked: Settings) -> None:
    version = registered(tracked)
    [file] = (tracked.home / "mlflow-artifacts").rglob("payment_risk.json")
    file.write_bytes(file.read_bytes().replace(b"0.0", b"0.9"))
    with pytest.raises(ModelError, match="altered"):
        registry.promote(tracked, "payment_risk", version.number)
    assert registry.load_models(tracked).payment_risk is None


# ── Local copies, without MLflow ─────────────────────────────────────────────────────────────


@pytest.fixture
def local(settings: Settings) -> Settings:
    registry._use(settings, bundle(), 1)
    return settings


def _versions(settings: Settings) -> list[Version]:
    return registry.versions(settings, "payment_risk")


def _file(settings: Settings, name: str) -> Path:
    [found] = (settings.models_dir / "payment_risk").glob(f"*/{name}")
    return found


@pytest.mark.parametrize("name", ["payment_risk.json", "manifest.json"])
def test_altered_local_file_is_refused_and_says_what_to_do(local: Settings, name: str) -> None:
    file = _file(local, name)
    file.write_bytes(file.read_bytes().replace(b'"format": 1', b'"format": 2'))
    with pytest.raises(ModelError, match=r"altered.*prebill train"):
        registry.load_models(local)


def test_missing_local_file_is_refused(local: Settings) -> None:
    _file(local, "payment_risk.json").unlink()
    with pytest.raises(ModelError, match=r"missing.*prebill train"):
        registry.load_models(local)


def test_manifest_rewritten_with_its_files_disagrees_with_the_pointer(local: Settings) -> None:
    folder = _file(local, "manifest.json").parent
    forged = bundle(0.9)
    for name, content in {**forged.files, "manifest.json": forged.manifest}.items():
        (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=r"manifest.*altered"):
        registry.load_models(local)


def test_broken_pointer_is_refused(local: Settings) -> None:
    (local.models_dir / "payment_risk" / "champion.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="can't be read"):
        registry.load_models(local)


def test_damaged_copy_is_replaced_by_a_whole_one(local: Settings) -> None:
    _file(local, "payment_risk.json").write_bytes(b"")
    registry._use(local, bundle(), 1)
    assert registry.load_models(local).payment_risk is not None


def test_folder_of_models_is_loaded_and_an_empty_one_refused(
    local: Settings, tmp_path: Path
) -> None:
    assert registry.load_folder(local.models_dir).payment_risk is not None
    registry.write_bundle(bundle(), tmp_path / "given" / "payment_risk")
    assert registry.load_folder(tmp_path / "given").payment_risk is not None
    with pytest.raises(ModelError, match="holds no model"):
        registry.load_folder(tmp_path)


def test_equal_files_and_facts_give_an_equal_manifest() -> None:
    assert bundle().manifest == bundle().manifest
    assert json.loads(bundle().manifest)["facts"] == {"seed": 1}
    assert bundle().digest != bundle(0.5).digest


def test_loading_never_imports_mlflow(local: Settings) -> None:
    code = (
        "import sys; from prebill import registry; from prebill.settings import Settings; "
        f"models = registry.load_models(Settings.load({str(local.home)!r})); "
        "assert models.payment_risk is not None; sys.exit('mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
