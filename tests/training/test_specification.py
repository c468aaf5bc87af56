"""model.toml: every registered model has one; overrides are typed and unknown keys refused."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from prebill.bundles import NAMES
from prebill.core.errors import InputError
from prebill.core.scoring.models.payment_spec import PaymentSpec
from training import specification
from training.fit import RECIPES

MODELS = Path(__file__).parent.parent.parent / "models"


def test_every_model_has_fit_specification_and_card() -> None:
    assert sorted(RECIPES) == sorted(NAMES)
    for name in NAMES:
        assert specification.read(MODELS, name).name == name
        assert (MODELS / name / "model_card.md").is_file()


def test_file_states_every_parameter_and_agrees_with_the_code() -> None:
    read = specification.read(MODELS, "payment_risk")
    assert set(read.fit) == {field.name for field in dataclasses.fields(PaymentSpec)}
    assert read.payment() == PaymentSpec()


def test_overrides_keep_the_type() -> None:
    read = specification.read(
        MODELS, "payment_risk", ["fit.hazard_rounds=7", "fit.binary_l2=3", "seed=9"]
    )
    assert read.payment().hazard_rounds == 7
    assert read.payment().binary_l2 == 3.0
    assert read.seed == 9


@pytest.mark.parametrize(
    "override", ["fit.depth=3", "seed", "nowhere.seed=1", "fit.binary_l2=much"]
)
def test_wrong_overrides_are_refused(override: str) -> None:
    with pytest.raises(InputError, match="--set"):
        specification.read(MODELS, "payment_risk", [override])


def test_absent_and_misspelt_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        specification.read(tmp_path, "payment_risk")
    shutil.copytree(MODELS / "payment_risk", tmp_path / "payment_risk")
    path = tmp_path / "payment_risk" / "model.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("hazard_leaves", "hazard_leafs"), encoding="utf-8")
    with pytest.raises(InputError, match="hazard_leafs"):
        specification.read(tmp_path, "payment_risk")
    path.write_text(text.replace("gap_days", "gapdays"), encoding="utf-8")
    with pytest.raises(InputError, match=r"lacks split.gap_days, has an unknown split.gapdays"):
        specification.read(tmp_path, "payment_risk")
    path.write_text(text.replace("[card]", "[cards]"), encoding="utf-8")
    with pytest.raises(InputError, match=r"lacks 'card', has an unknown 'cards'"):
        specification.read(tmp_path, "payment_risk")


def test_grid_tunes_only_what_the_fit_has(tmp_path: Path) -> None:
    shutil.copytree(MODELS / "forest", tmp_path / "forest")
    path = tmp_path / "forest" / "model.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("trees = [", "bushes = ["), encoding="utf-8")
    with pytest.raises(InputError, match=r"tunes what .* does not have: bushes"):
        specification.read(tmp_path, "forest")
