"""Every notebook runs from top to bottom, shows what it claims, and is stored without outputs."""

import re
import warnings
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent.parent / "notebooks").glob("*.ipynb"))
#: What a notebook must have printed, as a pattern: it fails where the thing shown no longer holds.
CLAIMS = {
    "01_follow_one_invoice": r"action +hold",
    "02_features": (
        r"features that read the future: 0; declarations refused: 4 of 4; "
        r"honest version passes, leaky version fails"
    ),
    "03_detectors": r"best group alone 0\.\d\d, all (0\.[6-9]\d|1\.00)",
    "04_payment_risk": (
        r"held out (0\.9[789]|1\.00), that morning 0\.[3-7]\d; refused 4 of 4; "
        r"payment features that changed: 0, leaky one: changed"
    ),
    "05_thresholds_in_money": (
        r"live policy better than releasing all: True; priority better than size: True"
    ),
    "06_drift_and_retraining": (
        r"outcome alarms: no drift \[\], slower payers \['calibration'.*; "
        r"a lost column asks for \['review all'\]; challenger saves \+0\.\d+; "
        r"version in use: 1, then [234], then 1"
    ),
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        # Jupyter's own packages warn of each other.
        warnings.simplefilter("ignore")
        from nbclient import NotebookClient

        notebook = nbformat.read(path, as_version=4)
        folder = {"metadata": {"path": str(tmp_path)}}
        NotebookClient(notebook, timeout=240, kernel_name="python3", resources=folder).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    said = "".join(output.get("text", "") for output in outputs)
    assert re.search(CLAIMS[path.stem], said), said
