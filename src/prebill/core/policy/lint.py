"""All that is wrong with a policy text at once, each with its line and key."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import yaml

from prebill.core.errors import PolicyError
from prebill.core.policy.model import READERS, Policy, read_document
from prebill.core.policy.ruleset import rule_of, rule_settings

#: Where an error of a class begins to say of which.
_CLASS: Final = "class "
#: Sections whose items are looked through for a key that is not named by its list.
_LISTS: Final = ("rules", "classes", "matrix", "strata")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: on which line, in which key, and why. Line 0: the whole text."""

    line: int
    key: str
    text: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"line {self.line}: {self.key or 'the text'}: {self.text}"


def problems(content: str) -> list[Problem]:
    """Read a policy text section by section and say everything that is wrong with it.

    Returns
    -------
    list of Problem
        In the order of the lines; empty: :meth:`Policy.parse` takes the text.
    """
    found = list(dict.fromkeys(_problem(content, error) for error in _errors(content)))
    return sorted(found, key=lambda one: (one.line, one.key, one.text))


def _errors(content: str) -> Iterator[PolicyError]:
    try:
        document = read_document(content)
    except PolicyError as error:
        yield error
        return
    try:
        rules = rule_settings(document)
    except PolicyError:
        rules = ()  # the reader of rules says it again
    for settings in rules:
        try:
            rule_of(settings)
        except PolicyError as error:
            yield error
    for read in READERS:
        try:
            read(document)
        except PolicyError as error:
            yield error
    try:
        Policy.parse(content)
    except PolicyError as error:
        yield error


def _problem(content: str, error: PolicyError) -> Problem:
    facts = error.facts
    unknown = facts.get("unknown") or facts.get("ids")
    key = str(facts.get("setting") or (unknown[0] if isinstance(unknown, list) else "") or "")
    where = str(facts.get("where") or "")
    cause = error.__cause__
    if isinstance(cause, yaml.MarkedYAMLError) and cause.problem_mark is not None:
        return Problem(cause.problem_mark.line + 1, "", str(error))
    path = [part for part in (*_path(where), key) if part]
    return Problem(_line(content, path), ".".join(path), str(error))


def _path(where: str) -> list[str]:
    """The keys that lead to what an error is about; a rule or class stands for itself."""
    if where in ("policy", "a rule", "a class", ""):
        return []
    if where.startswith(_CLASS):
        name, _, rest = where.removeprefix(_CLASS).partition(".")
        return [name, *rest.split(".")]
    return where.split(".")


def _line(content: str, path: list[str]) -> int:
    """The line of the last key of a path that the text has; 0: of none."""
    try:
        node = yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return 0
    line = 0
    for key in path:
        found = _find(node, key)
        if found is None:
            break
        line, node = found
    return line


def _find(node: yaml.Node | None, key: str) -> tuple[int, yaml.Node] | None:
    """The line and value of a key in a mapping, or of the listed mapping with that id or name."""
    if isinstance(node, yaml.MappingNode):
        own = [(name.start_mark.line + 1, value) for name, value in node.value if name.value == key]
        lists = [value for name, value in node.value if name.value in _LISTS]
    elif isinstance(node, yaml.SequenceNode):
        own = [(one.start_mark.line + 1, one) for one in node.value if _named(one) == key]
        lists = [one for one in node.value if isinstance(one, yaml.MappingNode)]
    else:
        return None
    return own[0] if own else next(filter(None, (_find(one, key) for one in lists)), None)


def _named(item: yaml.Node) -> str | None:
    if not isinstance(item, yaml.MappingNode):
        return None
    names = [value.value for name, value in item.value if name.value in ("id", "name")]
    return str(names[0]) if names else None
