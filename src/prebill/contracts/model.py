"""What a data contract says, after it was read: properties, rules, references, version."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from prebill.core.errors import ContractError
from prebill.core.schemas import Column, Frame, Kind


@dataclass(frozen=True, slots=True)
class Rule:
    """One named check. ``check`` names a registered function, ``text`` says what must hold."""

    id: str
    check: str
    text: str
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reference:
    """Columns whose values must exist in columns of another contract."""

    id: str
    columns: tuple[str, ...]
    contract: str
    targets: tuple[str, ...]

    @property
    def text(self) -> str:
        """What must hold, for people."""
        return f"{', '.join(self.columns)} must name a known row of {self.contract}"


@dataclass(frozen=True, slots=True)
class Property:
    """One column: kind, meaning, whether null is allowed, place in the key, rules.

    ``is_completable``: a fact that was handed in without it may be handed in again with it.
    """

    name: str
    kind: Kind
    meaning: str
    is_required: bool
    key_position: int | None = None
    unit: str | None = None
    is_completable: bool = False
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A semantic version."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> "Version":
        """Read ``1.2.3``."""
        parts = text.split(".")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
            message = f"version {text!r} is not semantic: write it as 1.2.3"
            raise ContractError(message, version=text)
        return cls(*(int(part) for part in parts))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True, slots=True)
class DataContract:
    """A contract for one frame; ``domain`` is its folder: inbound, internal or outbound."""

    name: str
    domain: str
    version: Version
    purpose: str
    usage: str
    properties: tuple[Property, ...]
    references: tuple[Reference, ...] = ()
    rules: tuple[Rule, ...] = ()

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in order."""
        return [one.name for one in self.properties]

    @property
    def key(self) -> tuple[str, ...]:
        """The natural key, in order."""
        keyed = [one for one in self.properties if one.key_position is not None]
        return tuple(one.name for one in sorted(keyed, key=lambda one: one.key_position or 0))

    @property
    def completable(self) -> list[str]:
        """Columns of a known fact that a later file may fill."""
        return [one.name for one in self.properties if one.is_completable]

    def rule_text(self, rule: str, column: str | None = None) -> str | None:
        """Say in words what the rule with this id asks for; null where it is not the contract's."""
        of_column = [r for p in self.properties if p.name == column for r in p.rules]
        for one in (*of_column, *self.rules):
            if one.id == rule:
                return one.text
        return next((one.text for one in self.references if one.id == rule), None)

    def frame(self) -> Frame:
        """Declare the same columns as a frame of ``core/schemas``."""
        columns = tuple(
            Column(one.name, one.kind, one.meaning, required=one.is_required)
            for one in self.properties
        )
        return Frame(self.name, self.purpose, self.key, columns)
