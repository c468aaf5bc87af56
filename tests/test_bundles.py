"""Models as files: verified copies, champion and challenger, loaded without MLflow."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from prebill import bundles
from prebill.bootstrap import Installation
from prebill.bundles import Bundle, Role
from prebill.core.errors import ModelError
from prebill.core.scoring.models.payment_risk import PaymentRisk, Rung
from prebill.settings import Settings


def bundle(weight: float = 0.0) -> Bundle:
    """A payment risk model of the lowest rung: no fit needed."""
    return Bundle("payment_risk", PaymentRisk(Rung.PRIOR, weight).to_bytes(), {"seed": 1})


@pytest.fixture
def local(settings: Settings) -> Settings:
    bundles.put_in_use(settings, bundle(), Role.CHAMPION, 1)
    return settings


def _file(settings: Settings, name: str, weight: float = 0.0) -> Path:
    return bundles.copy_of(settings, "payment_risk", bundle(weight).digest) / name


@pytest.mark.parametrize("name", ["payment_risk.json", "manifest.json"])
def test_altered_file_is_refused_and_says_what_to_do(local: Settings, name: str) -> None:
    file = _file(local, name)
    file.write_bytes(file.read_bytes().replace(b'"format": ', b'"format": 9'))
    with pytest.raises(ModelError, match=r"altered.*prebill train"):
        bundles.load_models(local)


def test_missing_file_is_refused(local: Settings) -> None:
    _file(local, "payment_risk.json").unlink()
    with pytest.raises(ModelError, match=r"missing.*prebill train"):
        bundles.load_models(local)


def test_manifest_rewritten_with_its_files_disagrees_with_the_pointer(local: Settings) -> None:
    folder = _file(local, "manifest.json").parent
    forged = bundle(0.9)
    for name, content in {**forged.files, "manifest.json": forged.manifest}.items():
        (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=r"manifest.*altered"):
        bundles.load_models(local)


@pytest.mark.parametrize("role", list(Role))
def test_broken_pointer_is_refused(local: Settings, role: Role) -> None:
    pointer = local.models_dir / "payment_risk" / role.pointer
    pointer.write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="can't be read"):
        bundles.in_use(local, "payment_risk", role)


def test_damaged_copy_is_replaced_by_a_whole_one(local: Settings) -> None:
    _file(local, "payment_risk.json").write_bytes(b"")
    bundles.put_in_use(local, bundle(), Role.CHAMPION, 1)
    assert bundles.load_models(local).payment_risk is not None


def test_folder_of_models_is_loaded_and_an_empty_one_refused(
    local: Settings, tmp_path: Path
) -> None:
    assert bundles.load_folder(local.models_dir).payment_risk is not None
    bundles.write_bundle(bundle(), tmp_path / "given" / "payment_risk")
    assert bundles.load_folder(tmp_path / "given").payment_risk is not None
    with pytest.raises(ModelError, match="holds no model"):
        bundles.load_folder(tmp_path)


def test_equal_files_and_facts_give_an_equal_manifest() -> None:
    assert bundle().manifest == bundle().manifest
    assert json.loads(bundle().manifest)["facts"] == {"seed": 1}
    assert bundle().digest != bundle(0.5).digest


def test_loading_never_imports_mlflow(local: Settings) -> None:
    bundles.put_in_use(local, bundle(0.5), Role.CHALLENGER, 2)
    code = (
        "import sys; from prebill import bundles; from prebill.settings import Settings; "
        f"settings = Settings.load({str(local.home)!r}); "
        "assert bundles.load_models(settings).payment_risk is not None; "
        "assert bundles.load_challenger(settings) is not None; sys.exit('mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ── The challenger beside the champion ───────────────────────────────────────────────────────


def test_without_a_challenger_there_is_none(local: Settings) -> None:
    assert bundles.load_challenger(local) is None


def test_challenger_stands_in_its_champions_place_and_the_champion_stays(local: Settings) -> None:
    bundles.put_in_use(local, bundle(0.5), Role.CHALLENGER, 2)
    champion, challenger = bundles.load_models(local), bundles.load_challenger(local)
    assert champion.payment_risk.binary_weight == 0.0
    assert challenger.payment_risk.binary_weight == 0.5
    assert challenger.forest is champion.forest is None
    assert champion.versions != challenger.versions
    bundles.take_out_of_use(local, "payment_risk", Role.CHALLENGER)
    assert bundles.load_challenger(local) is None


def test_altered_challenger_is_refused_and_the_champion_judges_on(
    local: Settings, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundles.put_in_use(local, bundle(0.5), Role.CHALLENGER, 2)
    file = _file(local, "payment_risk.json", 0.5)
    file.write_bytes(file.read_bytes().replace(b"0.5", b"0.9"))
    with pytest.raises(ModelError, match="altered"):
        bundles.load_challenger(local)
    monkeypatch.setenv("PREBILL_DATABASE_URL", sqlite_url)
    opened = Installation.open(Settings.load(local.home))
    judges = opened.load_judges()
    opened.close()
    assert judges.failure == ""
    assert judges.models.payment_risk is not None
    assert judges.challenger is None
    assert "altered" in judges.challenger_failure


def test_judges_are_read_again_when_a_file_changed_and_not_before(
    local: Settings, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREBILL_DATABASE_URL", sqlite_url)
    opened = Installation.open(Settings.load(local.home))
    first = opened.load_judges()
    assert opened.load_judges() is first
    bundles.put_in_use(local, bundle(0.7), Role.CHAMPION, 2)
    second = opened.load_judges()
    assert second.models.versions != first.models.versions
    assert opened.load_judges() is second
    opened.close()
