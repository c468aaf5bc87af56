"""`prebill policy lint` reads a text as a run would."""

from pathlib import Path

from typer.testing import CliRunner

from prebill.bootstrap import policy_text
from prebill.cli import app
from prebill.core.errors import PolicyError

RUNNER = CliRunner()


def test_prints_every_rule_of_a_text(tmp_path: Path) -> None:
    """Name, hash, and each rule with what it leads to."""
    file = tmp_path / "policy.yaml"
    file.write_text(policy_text(None))
    result = RUNNER.invoke(app, ["policy", "lint", str(file)])
    assert result.exit_code == 0, result.output
    first, *rules = result.output.splitlines()
    assert first.startswith("default ")
    assert "  hold     anomaly-hold" in rules


def test_names_the_key_that_is_wrong(tmp_path: Path) -> None:
    """A misspelt key is refused by name."""
    file = tmp_path / "policy.yaml"
    file.write_text(policy_text(None).replace("sla_hours:", "sla_hour:"))
    result = RUNNER.invoke(app, ["policy", "lint", str(file)])
    assert isinstance(result.exception, PolicyError)
    assert "sla_hour" in str(result.exception)
