"""How payment risk is fitted: the ladder by what a company has, and LightGBM's parameters."""

from dataclasses import dataclass

from prebill.core.scoring.models.ladder import Ladder, Rung

__all__ = ["PaymentSpec", "Rung"]


@dataclass(frozen=True, slots=True)
class PaymentSpec(Ladder):
    """Every choice of a fit; ``models/payment_risk/model.toml`` overrides the defaults."""

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
