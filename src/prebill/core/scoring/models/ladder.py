"""How much model a company's history carries: a stated prior, a small model, the full one."""

from dataclasses import dataclass
from enum import StrEnum


class Rung(StrEnum):
    """How much model the history carries."""

    PRIOR = "prior"
    SMALL = "small"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Ladder:
    """Where the rungs are; the specification of a model that climbs it has these fields too."""

    prior_below_rows: int = 300
    prior_below_customers: int = 50
    small_below_rows: int = 8_000
    small_leaves: int = 8

    def rung(self, mature_rows: int, customers: int) -> Rung:
        """Which rung so many mature rows and customers carry."""
        if mature_rows < self.prior_below_rows or customers < self.prior_below_customers:
            return Rung.PRIOR
        return Rung.SMALL if mature_rows < self.small_below_rows else Rung.FULL
