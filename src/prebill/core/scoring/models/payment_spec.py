"""How payment risk is fitted: the ladder by what a company has, and LightGBM's parameters."""

from dataclasses import dataclass
from enum import StrEnum


class Rung(StrEnum):
    """How much model the history carries."""

    PRIOR = "prior"
    SMALL = "small"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class PaymentSpec:
    """Every choice of a fit; ``models/payment_risk/model.toml`` overrides the defaults."""

    prior_below_rows: int = 300
    prior_below_customers: int = 50
    small_below_rows: int = 8_000
    small_leaves: int = 8
    hazard_rounds: int = 80
    hazard_leaves: int = 63
    hazard_rate: float = 0.1
    hazard_min_rows: int = 200
    hazard_feature_share: float = 0.5
    hazard_l2: float = 100.0
    binary_rounds: int = 250
    binary_leaves: int = 31
    binary_rate: float = 0.02
    binary_min_rows: int = 100
    binary_feature_share: float = 0.3
    binary_l2: float = 5.0
    row_share: float = 0.8
    #: Weight of the binary model in P(late); the rest is the hazard model's.
    binary_weight: float = 0.4

    def rung(self, mature_rows: int, customers: int) -> Rung:
        """Which rung of the ladder so many mature rows and customers carry."""
        if mature_rows < self.prior_below_rows or customers < self.prior_below_customers:
            return Rung.PRIOR
        return Rung.SMALL if mature_rows < self.small_below_rows else Rung.FULL

    def hazard(self, rung: Rung) -> dict[str, object]:
        """LightGBM parameters of the hazard model."""
        small = rung is Rung.SMALL
        return self._shared() | {
            "num_iterations": self.hazard_rounds,
            "num_leaves": self.small_leaves if small else self.hazard_leaves,
            "learning_rate": self.hazard_rate,
            "min_data_in_leaf": self.hazard_min_rows,
            "feature_fraction": self.hazard_feature_share,
            "lambda_l2": self.hazard_l2,
        }

    def binary(self, rung: Rung) -> dict[str, object]:
        """LightGBM parameters of the binary model."""
        small = rung is Rung.SMALL
        return self._shared() | {
            "num_iterations": self.binary_rounds,
            "num_leaves": self.small_leaves if small else self.binary_leaves,
            "learning_rate": self.binary_rate,
            "min_data_in_leaf": self.binary_min_rows,
            "feature_fraction": self.binary_feature_share,
            "lambda_l2": self.binary_l2,
        }

    def _shared(self) -> dict[str, object]:
        return {
            "bagging_fraction": self.row_share,
            "bagging_freq": 1,
            "max_bin": 127,
        }
