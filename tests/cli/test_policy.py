"""`prebill policy lint` reads a text as a run would."""

import json
from pathlib import Path

from typer.testing import CliRunner

from prebill.bootstrap import policy_text
from prebill.cli import app
from prebill.core.policy.schema import policy_schema

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
    """A misspelt key is refused by name and line, and so is every other fault."""
    file = tmp_path / "policy.yaml"
    text = policy_text(None).replace("at_least: 0.998", "at_last: 0.998").replace("6  ", "0 ")
    file.write_text(text)
    result = RUNNER.invoke(app, ["policy", "lint", str(file)])
    assert 1 == result.exit_code
    lines = text.splitlines()
    rule, minutes = (
        next(number for number, line in enumerate(lines, 1) if part in line)
        for part in ("at_last", "review_minutes")
    )
    told = result.output.splitlines()
    assert told[0].startswith(f"line {minutes}: costs.review_minutes: ")
    assert told[1].startswith(f"line {rule}: anomaly-hold.at_last: ")


def test_schema_is_printed_as_json() -> None:
    """The published schema, for editors."""
    result = RUNNER.invoke(app, ["policy", "schema"])
    assert policy_schema() == json.loads(result.output)
