"""What a feature declares about itself; one that reads what is known only afterwards is refused.

A declaration says where the figures come from and which day they must precede. It computes
nothing: a family computes its features beside their declarations.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from prebill.core.errors import ModelError
from prebill.core.schemas import INBOUND

#: Frame → the column that dates its rows; a row counts from the day after it (DESIGN: as-of rule).
DATED_BY: Final[Mapping[str, str]] = {
    "invoices": "issued_on",
    "payments": "paid_on",
    "credit_notes": "issued_on",
    "disputes": "opened_on",
    "usage_events": "occurred_at",
}
#: Words of columns that say how an invoice ended. They are overwritten without a date, so that a
#: past row would show what nobody knew then.
POST_OUTCOME: Final = frozenset(
    "status state cleared clearing settled outcome result ageing aging bucket overdue open closed "
    "final".split()
)
_COLUMNS: Final = {frame.name: frozenset(frame.names) for frame in INBOUND}
#: A dated end is no undated outcome: an open dispute is one whose end was not seen yet.
_DATED_ENDS: Final = frozenset({"disputes.closed_on"})


class AllowedUse(StrEnum):
    """Which judgements may read a feature."""

    VARIANCE = "variance"
    PAYMENT = "payment"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature and everything a reviewer of the model asks about it.

    Attributes
    ----------
    name, meaning, owner : str
        Column, what it says with its unit, and who answers for it.
    sources : tuple of str
        ``frame.column`` of :data:`prebill.core.schemas.INBOUND`, with the column that dates each
        frame among them.
    as_of, null : str
        Which rows may be read for a draft, and what null means.
    use : AllowedUse
        Which judgements may read it.

    Raises
    ------
    ModelError
        A source is unknown, says how the invoice ended, or is read without its date.
    """

    name: str
    meaning: str
    owner: str
    sources: tuple[str, ...]
    as_of: str
    null: str
    use: AllowedUse

    def __post_init__(self) -> None:
        """Refuse what a past row would know and a draft would not."""
        said = (self.name, self.meaning, self.owner, self.as_of, self.null)
        if not all(said) or not self.sources:
            message = f"feature {self.name!r} must declare name, meaning, owner, sources, rules"
            raise ModelError(message, feature=self.name)
        for source in self.sources:
            self._check(source)

    def _check(self, source: str) -> None:
        frame, _, column = source.partition(".")
        ended = POST_OUTCOME & set(column.split("_"))
        if ended and source not in _DATED_ENDS:
            message = (
                f"feature {self.name!r} reads {source}, which is known only after the outcome: "
                "derive it from dated rows instead"
            )
            raise ModelError(message, feature=self.name, source=source)
        if column not in _COLUMNS.get(frame, ()):
            message = f"feature {self.name!r} reads {source}, which no data contract declares"
            raise ModelError(message, feature=self.name, source=source)
        dated = DATED_BY.get(frame)
        if dated is not None and f"{frame}.{dated}" not in self.sources:
            message = f"feature {self.name!r} reads {source} without {frame}.{dated}: undated"
            raise ModelError(message, feature=self.name, source=source)


def declared(features: Iterable[Feature]) -> dict[str, Feature]:
    """Features by name, in order.

    Raises
    ------
    ModelError
        A name is declared twice.
    """
    found: dict[str, Feature] = {}
    for feature in features:
        if feature.name in found:
            message = f"feature {feature.name!r} is declared twice"
            raise ModelError(message, feature=feature.name)
        found[feature.name] = feature
    return found
