"""P(error) learnt from labels: a LightGBM that starts from the unsupervised score and re-ranks.

It can't throw the judges away: it starts from the odds that the stated prior gives the anomaly
score, rises with every tail, and for each judge some errors as the prior describes them are learnt
beside the confirmed ones, so that a kind of fault that nobody has confirmed yet keeps its place.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from prebill.core.errors import ModelError
from prebill.core.scoring.models.error_spec import ErrorSpec
from prebill.core.scoring.models.ladder import Rung
from prebill.core.scoring.tails import RAREST

__all__ = ["ErrorRisk", "ErrorSpec", "fit_error_risk"]

if TYPE_CHECKING:
    import lightgbm

Floats = npt.NDArray[np.float64]

#: Grows when the meaning of a file changes.
FORMAT: Final = 1
HEAD: Final = "error_risk.json"
TREES: Final = "trees.txt"
SCORE: Final = "anomaly_score"
#: How the column of a judge's tail begins.
TAIL: Final = "tail_"
#: What slope 1 and the shift that was learnt weigh in the calibration, in rows: few labels move
#: them little.
_CALIBRATION_RIDGE: Final = 1.0
_LEAST_SLOPE: Final = 0.05
_STEPS: Final = 50
_THREADS: Final = 1


@dataclass(frozen=True, slots=True)
class ErrorRisk:
    """A fitted model: log odds of the trees over the start, then a line that calibrates them."""

    rung: Rung
    columns: tuple[str, ...]
    tail_exponent: float
    slope: float
    shift: float
    trees: "lightgbm.Booster"

    def predict(self, rows: pl.DataFrame) -> pl.Series:
        """P(error) of each row; null where there is no anomaly score.

        Parameters
        ----------
        rows : pl.DataFrame
            ``columns`` of the model: features, tails and ``anomaly_score``; null: not known.

        Returns
        -------
        pl.Series, Float64
            In (0, 1), rising with the anomaly score and with every tail.

        Raises
        ------
        ModelError
            A column is absent.
        """
        absent = sorted(set(self.columns) - set(rows.columns))
        if absent:
            message = (
                f"the model of P(error) needs the columns {', '.join(absent)}: run `prebill train`"
            )
            raise ModelError(message, columns=absent)
        odds = self.slope * log_odds(self.trees, rows, self.columns, self.tail_exponent)
        learnt = pl.Series("p_error", _share(odds + self.shift), dtype=pl.Float64)
        return rows.select(p_error=pl.when(pl.col(SCORE).is_not_null()).then(learnt)).to_series()

    def to_bytes(self) -> dict[str, bytes]:
        """The model as files of text: LightGBM's own format, and a head with its SHA-256."""
        text = self.trees.model_to_string().encode()
        head = {
            "kind": "error_risk",
            "format": FORMAT,
            "rung": self.rung.value,
            "columns": list(self.columns),
            "tail_exponent": self.tail_exponent,
            "slope": self.slope,
            "shift": self.shift,
            "sha256": {TREES: hashlib.sha256(text).hexdigest()},
        }
        return {HEAD: json.dumps(head, indent=1, sort_keys=True).encode(), TREES: text}

    @property
    def digest(self) -> str:
        """SHA-256 of the head, which holds the digest of the trees."""
        return hashlib.sha256(self.to_bytes()[HEAD]).hexdigest()

    @classmethod
    def from_bytes(cls, files: dict[str, bytes]) -> "ErrorRisk":
        """Rebuild a model from the bytes of its files, after checking their digests.

        Raises
        ------
        ModelError
            A file is missing or altered.
        """
        import lightgbm

        try:
            head: dict[str, Any] = json.loads(files[HEAD])
            text = files[TREES]
            is_whole = hashlib.sha256(text).hexdigest() == head["sha256"][TREES]
            if not is_whole or head["format"] != FORMAT:
                message = (
                    f"the model of P(error): {TREES} does not match {HEAD}: run `prebill train`"
                )
                raise ModelError(message, file=TREES)
            return cls(
                rung=Rung(head["rung"]),
                columns=tuple(head["columns"]),
                tail_exponent=float(head["tail_exponent"]),
                slope=float(head["slope"]),
                shift=float(head["shift"]),
                trees=lightgbm.Booster(model_str=text.decode()),
            )
        except (KeyError, TypeError, ValueError) as error:
            message = f"the model of P(error) has no readable {HEAD} and {TREES}: fetch it again"
            raise ModelError(message, reason=repr(error)) from error


def fit_error_risk(
    rows: pl.DataFrame, columns: tuple[str, ...], seed: int, spec: ErrorSpec | None = None
) -> ErrorRisk | None:
    """Fit on labelled rows; equal rows, seed and spec give equal bytes.

    Parameters
    ----------
    rows : pl.DataFrame, one row per judged draft
        ``invoice_id, customer_id, day_on``, ``columns``, ``is_error``; ``weight`` > 0: how many
        drafts the row stands for; ``calibrates``: false where the sample stands for it already.
    columns : tuple of str
        Features, tails and ``anomaly_score``.
    seed : int
        Of bagging, feature choice and prior errors.
    spec : ErrorSpec or None
        Choices.

    Returns
    -------
    ErrorRisk or None
        None below ``least_errors``, or on the lowest rung: the stated prior answers.
    """
    spec = spec or ErrorSpec()
    known = rows.filter(pl.col(SCORE).is_not_null()).sort("day_on", "invoice_id")
    rung = spec.rung(known.height, known["customer_id"].n_unique())
    if known["is_error"].sum() < spec.least_errors or rung is Rung.PRIOR or known["is_error"].all():
        return None
    learnt, later = _by_time(known, spec.calibration_share)
    used = tuple(name for name in columns if learnt[name].null_count() < learnt.height)
    taught = pl.concat([learnt, prior_errors(learnt, used, seed, spec)], how="diagonal")
    start = _start(taught, spec.tail_exponent)
    shift = _shift(taught, start)
    trees = _train(taught, used, start + shift, seed, spec.parameters(rung))
    odds = log_odds(trees, later, used, spec.tail_exponent)
    line = _calibrated(odds, later, np.array([1.0, shift]))
    return ErrorRisk(rung, used, spec.tail_exponent, float(line[0]), float(line[1]), trees)


def prior_errors(
    rows: pl.DataFrame, columns: tuple[str, ...], seed: int, spec: ErrorSpec
) -> pl.DataFrame:
    """Errors as the stated prior describes them: for each judge right drafts with an error's tail.

    Parameters
    ----------
    rows : pl.DataFrame
        Labelled rows.
    columns : tuple of str
        Of the model; judges are those whose tails are among them.
    seed : int
        Of what is drawn.
    spec : ErrorSpec
        How many, what they weigh together, and the density of their tails.

    Returns
    -------
    pl.DataFrame
        ``columns, is_error, weight``: ``prior_rows`` a judge that weigh together ``prior_share``
        of what the confirmed errors do.
    """
    generator = np.random.default_rng(seed)
    right = rows.filter(~pl.col("is_error")).select(*columns)
    confirmed = float(rows.filter("is_error")["weight"].sum())
    weight = confirmed * spec.prior_share / spec.prior_rows
    made = []
    for judge in (name for name in columns if name.startswith(TAIL)):
        chosen = right[generator.integers(0, right.height, spec.prior_rows)]
        tail = generator.random(spec.prior_rows) ** (1.0 / spec.tail_exponent)
        surprising = pl.Series(judge, 1.0 - np.clip(tail, RAREST, 1.0))
        drawn = chosen.with_columns(pl.max_horizontal(judge, surprising).alias(judge))
        made.append(drawn.with_columns(pl.max_horizontal(SCORE, judge).alias(SCORE)))
    return pl.concat([right.clear(), *made]).with_columns(
        is_error=pl.lit(value=True), weight=pl.lit(weight)
    )


def log_odds(
    trees: "lightgbm.Booster", rows: pl.DataFrame, columns: tuple[str, ...], exponent: float
) -> Floats:
    """The trees' log odds over the start, not calibrated."""
    if rows.is_empty():
        return np.zeros(0)
    raw = trees.predict(_matrix(rows, columns), raw_score=True, num_threads=_THREADS)
    return np.asarray(raw, dtype=np.float64) + _start(rows, exponent)


def _start(rows: pl.DataFrame, exponent: float) -> Floats:
    """Log of how much likelier the anomaly score is under an error; see ``combine``."""
    tail = np.clip(1.0 - rows[SCORE].fill_null(0.0).to_numpy(), RAREST, 1.0)
    found: Floats = (exponent - 1.0) * np.log(tail)
    return found


def _matrix(rows: pl.DataFrame, columns: tuple[str, ...]) -> Floats:
    values = rows.select(pl.col(name).cast(pl.Float64) for name in columns)
    return np.asarray(values.to_numpy(), dtype=np.float64)


def _by_time(rows: pl.DataFrame, share: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Earlier rows to learn from, and the latest share by which the odds are calibrated."""
    first = rows.height - round(rows.height * share)
    return rows.head(first), rows.slice(first)


def _shift(rows: pl.DataFrame, start: Floats) -> float:
    """What brings the mean odds of the start to those of the labels: trees needn't find it."""
    weight = rows["weight"].to_numpy()
    share = float(np.average(rows["is_error"].cast(pl.Float64).to_numpy(), weights=weight))
    return float(np.log(share / (1.0 - share)) - np.average(start, weights=weight))


def _train(
    rows: pl.DataFrame,
    columns: tuple[str, ...],
    start: Floats,
    seed: int,
    parameters: dict[str, object],
) -> "lightgbm.Booster":
    import lightgbm

    rising = [1 if name == SCORE or name.startswith(TAIL) else 0 for name in columns]
    data = lightgbm.Dataset(
        _matrix(rows, columns),
        rows["is_error"].cast(pl.Float64).to_numpy(),
        weight=rows["weight"].to_numpy(),
        init_score=start,
        feature_name=list(columns),
    )
    common = {
        "objective": "binary",
        "monotone_constraints": rising,
        "seed": seed,
        "num_threads": _THREADS,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    return lightgbm.train({**parameters, **common}, data)


def _calibrated(odds: Floats, rows: pl.DataFrame, usual: Floats) -> Floats:
    """Slope and shift of the odds on rows that were not learnt (Platt 1999), pulled to the usual.

    The slope stays positive: calibration changes no rank.
    """
    wrong = rows["is_error"].cast(pl.Float64).to_numpy()
    weight = rows["weight"].to_numpy() * rows["calibrates"].cast(pl.Float64).to_numpy()
    design = np.column_stack([odds, np.ones(len(odds))])
    line = usual
    for _ in range(_STEPS):
        chance = _share(design @ line)
        slope = design.T @ (weight * (chance - wrong)) + _CALIBRATION_RIDGE * (line - usual)
        bend = (design.T * (weight * chance * (1.0 - chance))) @ design
        step = np.linalg.solve(bend + _CALIBRATION_RIDGE * np.eye(2), slope)
        line = line - np.clip(step, -1.0, 1.0)
    return np.array([max(line[0], _LEAST_SLOPE), line[1]])


def _share(log_odds: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-log_odds))
