"""How P(error) is learnt from labels: the ladder, LightGBM's parameters, the stated prior's say."""

from dataclasses import dataclass

from prebill.core.scoring.models.ladder import Ladder, Rung


@dataclass(frozen=True, slots=True)
class ErrorSpec(Ladder):
    """Every choice of a fit; ``models/error_risk/model.toml`` overrides the defaults."""

    #: Confirmed errors below which labels teach nothing: the prior answers.
    least_errors: int = 200
    rounds: int = 300
    leaves: int = 31
    rate: float = 0.05
    min_rows: int = 20
    l2: float = 5.0
    row_share: float = 0.8
    feature_share: float = 0.5
    #: Under an error a tail p has density a·p^(a-1): where the model starts from.
    tail_exponent: float = 0.3
    #: What the stated prior is worth for each judge, as a share of all confirmed errors: what no
    #: label has shown yet keeps its place.
    prior_share: float = 0.02
    prior_rows: int = 200
    #: Latest share of the rows, by day, that is not learnt but calibrates.
    calibration_share: float = 0.3

    def parameters(self, rung: Rung) -> dict[str, object]:
        """LightGBM parameters."""
        return {
            "num_iterations": self.rounds,
            "num_leaves": self.small_leaves if rung is Rung.SMALL else self.leaves,
            "learning_rate": self.rate,
            "min_data_in_leaf": self.min_rows,
            "lambda_l2": self.l2,
            "bagging_fraction": self.row_share,
            "bagging_freq": 1,
            "feature_fraction": self.feature_share,
        }
