"""Evidently: loaded only when asked, and it talks to nobody."""

import socket
import subprocess
import sys

import polars as pl
import pytest

from training.drift.evidence import report, stability

BINS = pl.DataFrame({"size": ["01: up to 2"] * 300 + ["02: above 2"] * 300})
SHIFTED = pl.DataFrame({"size": ["01: up to 2"] * 500 + ["02: above 2"] * 100})


def test_nothing_is_called_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: called.append(address))
    page = report(BINS, SHIFTED, {"size": 0.2})
    assert "02: above 2" in page
    assert stability(BINS, SHIFTED)["size"] > 0.2
    assert [] == called


def test_the_command_line_does_not_load_it() -> None:
    code = "import sys, training.__main__; sys.exit('evidently' in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode
