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

#: Frame → the column that dates its rows; a row counts from the day after it (the as-of rule).
DATED_BY: Final[Mapping[str, str]] = {
    "invoices": "invoices.issued_on",
    "invoice_lines": "invoices.issued_on",
    "payments": "payments.paid_on",
    "credit_notes": "credit_notes.issued_on",
    "disputes": "disputes.opened_on",
    "usage_events": "usage_events.occurred_at",
    "contract_terms": "contract_terms.recorded_at",
    "entitlements": "entitlements.effective_from_on",
}
#: Words of columns that say how an invoice ended. They are overwritten without a date, so that a
#: past row would show what nobody knew then.
POST_OUTCOME: Final = frozenset(
    "status state cleared clearing settled outcome result ageing aging bucket overdue open closed "
    "final".split()
)
#: What invoices of the own past, and everybody's, are compared by.
TOTALS: Final = (
    *("invoices.customer_id", "invoices.currency", "invoices.issued_on", "invoices.total_minor"),
    *("invoices.period_start_on", "invoices.period_end_on"),
)
LINES: Final = (
    *("invoices.customer_id", "invoices.currency", "invoices.issued_on"),
    *("invoice_lines.product", "invoice_lines.quantity", "invoice_lines.unit_price"),
    "invoice_lines.amount_minor",
)
#: How a document is taxed, and what its customer's place implies.
TREATED: Final = (
    "invoice_lines.tax_code",
    *("invoices.legal_entity", "invoices.subtotal_minor", "invoices.tax_minor"),
    *("invoice_lines.tax_minor", "customers.country", "customers.region"),
    *("customers.tax_id", "customers.is_business"),
)
#: What a credit note corrected is no yardstick.
CORRECTED: Final = ("credit_notes.issued_on", "credit_notes.invoice_id")
USAGE: Final = (
    *("usage_events.customer_id", "usage_events.meter", "usage_events.occurred_at"),
    *("usage_events.quantity", "invoices.issued_on"),
    *("invoices.period_start_on", "invoices.period_end_on"),
)
#: A change that the contract announced, or that its terms price to, is no deviation.
AGREED: Final = (
    *("contract_terms.recorded_at", "contract_terms.effective_from_on"),
    *("contract_terms.price_book_id", "contract_terms.quantity"),
    "contract_terms.discount_percent",
)
ENTITLED: Final = (
    *("entitlements.effective_from_on", "entitlements.feature", "entitlements.granted_quantity"),
)
#: The as-of rules of invoice features.
BEFORE: Final = (
    "invoices issued and credits dated before the day, terms known on it; own batch by content"
)
RECEIVED: Final = "usage up to the end of the billed period, and that of earlier invoices"
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
        if dated is not None and dated not in self.sources:
            message = f"feature {self.name!r} reads {source} without {dated}: undated"
            raise ModelError(message, feature=self.name, source=source)


def alike(
    meanings: Mapping[str, str],
    *sources: str,
    null: str,
    as_of: str = BEFORE,
    owner: str = "billing operations",
    use: AllowedUse = AllowedUse.VARIANCE,
) -> dict[str, Feature]:
    """Declare features that differ in name and meaning only; by default of the variance kind."""
    return declared(
        Feature(name, meaning, owner, tuple(dict.fromkeys(sources)), as_of, null, use)
        for name, meaning in meanings.items()
    )


def allowed(features: Iterable[Feature], use: AllowedUse) -> dict[str, Feature]:
    """Features by name, all of which a judgement of that use may read.

    Raises
    ------
    ModelError
        A feature is declared for another use.
    """
    found = declared(features)
    for feature in found.values():
        if feature.use not in (use, AllowedUse.ANY):
            message = f"feature {feature.name!r} is for {feature.use} and not for {use}"
            raise ModelError(message, feature=feature.name, use=str(use))
    return found


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
