"""Every notebook runs from top to bottom, and is stored without outputs."""

import warnings
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent.parent / "notebooks").glob("*.ipynb"))


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
    said = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("hold" in str(output) for output in said)
