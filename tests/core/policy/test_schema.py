"""Schema and parser of policy texts say the same; lint names line and key of all that is wrong."""

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from prebill.core.errors import PolicyError
from prebill.core.policy.lint import Problem, problems
from prebill.core.policy.model import NEEDED, OPTIONAL, Policy
from prebill.core.policy.rules import KINDS
from prebill.core.policy.schema import policy_schema

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
SCHEMA = policy_schema()
EVERYTHING = (EXAMPLES / "policy_with_everything.yaml").read_text(encoding="utf-8")
DEFAULT = resources.files("prebill.core.policy").joinpath("default.yaml").read_text("utf-8")


def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator(SCHEMA)


def plain(text: str) -> Any:
    """The text as JSON has it: YAML's days are texts there."""
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


@pytest.mark.parametrize(
    "text",
    [
        DEFAULT,
        *(path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("policy*.yaml"))),
    ],
)
def test_default_and_examples_are_valid_to_schema_and_parser(text: str) -> None:
    assert [] == [error.message for error in validator().iter_errors(plain(text))]
    assert Policy.parse(text).digest
    assert [] == problems(text)


def test_example_has_every_section_and_every_kind_of_rule() -> None:
    document = yaml.safe_load(EVERYTHING)
    assert NEEDED | OPTIONAL == set(document) == set(SCHEMA["properties"])
    assert set(KINDS) == {rule["kind"] for rule in document["rules"]}


def closed_mappings(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The paths of every mapping of a document."""
    if isinstance(value, dict):
        yield path
        for key, one in value.items():
            yield from closed_mappings(one, (*path, key))
    if isinstance(value, list):
        for number, one in enumerate(value):
            yield from closed_mappings(one, (*path, number))


#: Mappings whose keys are the writer's own names.
FREE = {"routes", "failures", "calendars"}


def test_key_that_one_refuses_the_other_refuses_too() -> None:
    """Put an unknown key into each mapping, and take each key away: both must agree."""
    document = plain(EVERYTHING)
    checked = 0
    for path in closed_mappings(document):
        changed = plain(EVERYTHING)
        place = changed
        for key in path:
            place = place[key]
        keys = list(place)
        is_free = len(path) == 1 and path[0] in FREE
        for change in [*keys, *([] if is_free else ["surprise"])]:
            again = json.loads(json.dumps(changed))
            target = again
            for key in path:
                target = target[key]
            if change == "surprise":
                target[change] = "?"
            else:
                del target[change]
            text = yaml.safe_dump(again)
            is_valid = not list(validator().iter_errors(again))
            try:
                Policy.parse(text)
                is_parsed = True
            except PolicyError:
                is_parsed = False
            # The parser knows more: that a class overrides a rule that there is, for example.
            assert is_valid or not is_parsed, (path, change)
            if change == "surprise":
                assert not is_parsed, (path, change)
                assert not is_valid or "rules" in path, (path, change)
            checked += 1
    assert checked > 150


def test_lint_names_line_and_key_of_everything_at_once() -> None:
    text = EVERYTHING.replace("at_least: 0.998", "at_least: 1.998")
    text = text.replace("percent: 30\n", "percnt: 30\n", 1)
    text = text.replace('to: "17:00"', 'to: "07:00"').replace("people: 2", "people: 99")
    text = text.replace('terms: "off"', 'terns: "off"')
    lines = text.splitlines()

    def line(part: str) -> int:
        return next(number for number, one in enumerate(lines, 1) if part in one)

    found = problems(text)
    assert {
        (line("1.998"), "anomaly-hold.at_least"),
        (line("percnt"), "variance-review.percnt"),
        (line("terns"), "key-accounts.rules.terns"),
        (line("07:00"), "calendars.default.to"),
        (line("people: 99"), "approvals.matrix.people"),
    } == {(one.line, one.key) for one in found}


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("version: 1\nname: [", 2, ""),
        ("- a", 0, ""),
        (EVERYTHING.replace("\nmode:", "\nmood:"), 7, "mood"),
        (EVERYTHING.replace("version: 1", "version: 2"), 2, "version"),
        (EVERYTHING.replace("2026-12-25", "2026-02-30"), 0, ""),
    ],
)
def test_lint_of_what_is_no_policy_at_all(text: str, line: int, key: str) -> None:
    found = problems(text)
    assert found
    assert isinstance(found[0], Problem)
    assert (line, key) == (found[0].line, found[0].key)
