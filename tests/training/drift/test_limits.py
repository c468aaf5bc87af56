"""drift.toml: read whole, refused where it is wrong."""

from pathlib import Path

import pytest

from prebill.core.errors import InputError
from prebill.core.scoring.declared import READ_BY
from prebill.core.scoring.features import payment
from prebill.core.scoring.scene import FEATURES
from tests.training.drift.builders import limits
from training.drift.limits import Action, Check, read

TEXT = (Path(__file__).parents[3] / "models" / "drift.toml").read_text(encoding="utf-8")


def test_defaults_are_the_agreed_ones() -> None:
    found = limits()
    assert (7, 500, 2) == (found.window_days, found.min_rows, found.windows_in_a_row)
    expected = {
        Check.FEATURE: 0.2,
        Check.SCORE: 0.1,
        Check.LABEL: 0.2,
        Check.MISSING: 0.05,
        Check.CALIBRATION: 3.0,
        Check.SHARE: 0.99,
    }
    assert expected == {check: limit.value for check, limit in found.checks.items()}
    assert {*Action} == {limit.action for limit in found.checks.values()}


def test_top_features_exist() -> None:
    top = limits().top
    assert {*top["detection"]} <= {*FEATURES}
    assert {*top["error_risk"]} <= {*READ_BY["error_risk"]}
    assert {*top["payment_risk"], *limits().null_by_nature} <= {*payment.FEATURES}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seed =", "sede ="),
        ("[checks.score]", "[checks.scores]"),
        ('action = "warn"', 'action = "worry"'),
        ("window_days = 7 ", "window_days = 0 "),
        ("[checks.label]", "[checks.label"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name(tmp_path: Path, old: str, new: str) -> None:
    assert old in TEXT
    (tmp_path / "drift.toml").write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"drift\.toml"):
        read(tmp_path)


def test_an_absent_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"drift\.toml"):
        read(tmp_path)
