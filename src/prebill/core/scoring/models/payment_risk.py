"""When an invoice will be settled: P(late) and percentiles of the days after due, one distribution.

A LightGBM hazard model gives, for each step of days after due, the probability of being settled
in it if not settled before, as a correction of the customer's own hazard; an open invoice is a
censored row. A plain binary LightGBM sharpens P(late) and the distribution is scaled to it, so that
the figures cannot contradict each other. Few rows: fewer leaves; very few: the own hazard alone.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from prebill.core.errors import ModelError
from prebill.core.scoring.features.payment import (
    COLUMNS,
    EDGES,
    FEATURES,
    OWN_HAZARDS,
    WEEKDAY_SHARES,
)
from prebill.core.scoring.features.payment_history import STEPS
from prebill.core.scoring.models.payment_rows import training_rows
from prebill.core.scoring.models.payment_spec import PaymentSpec, Rung

__all__ = ["PaymentRisk", "PaymentSpec", "Rung", "fit_payment_risk", "training_rows"]

if TYPE_CHECKING:
    import lightgbm

Matrix = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

#: Steps that end by the due date: settled in one of them is "on time".
ON_TIME_STEPS: Final = EDGES.index(0) + 1
#: P(never paid | open 90 days after due), until write-offs teach it: a stated prior.
NEVER_SHARE: Final = 0.5
#: Median of what is settled after the last step, in days after due.
TAIL_DAYS: Final = 120.0
#: Grows when the meaning of a file changes.
FORMAT: Final = 1
HEAD: Final = "payment_risk.json"
_EARLIEST: Final = -90.0

_STARTS: Final = np.array([_EARLIEST, *EDGES[:-1]])
_ENDS: Final = np.array(EDGES, dtype=np.float64)
_IS_DAY: Final = np.diff(_ENDS, prepend=_EARLIEST) == 1

#: What the hazard of a step reads beside the invoice's own features.
_RELATIVE: Final = (
    *("delay_fast", "delay_slow", "delay_mean", "delay_median"),
    *("weekday_delay", "weekday_delay_fast", "band_delay"),
)
_INVOICE_COLUMNS: Final = tuple(FEATURES)
_BINARY_COLUMNS: Final = (*FEATURES, *WEEKDAY_SHARES)
_STEP_COLUMNS: Final = (
    *("step_end", "step_weekday", "own_weekday_share", "step_age", "own_hazard"),
    *(f"step_less_{name}" for name in _RELATIVE),
)
#: Steps predicted for every invoice; the later ones only where this share is open by then.
_NEAR_STEPS: Final = EDGES.index(10) + 1
_HARDLY_ANY: Final = 0.01
_CHUNK_ROWS: Final = 20_000
_FEW_ROWS: Final = 64
#: Fitting on one thread: LightGBM's threads wait for each other after every split, which on a
#: machine that also does something else took 50 s instead of 5 (measured), and the bytes of a
#: model would depend on the number.
_FIT_THREADS: Final = 1
_THREADS: Final = 2
_PREDICTIONS: Final = ("p_late", "days_late_p10", "days_late_p50", "days_late_p90", "p_never")


def fit_payment_risk(
    rows: pl.DataFrame, seed: int, spec: PaymentSpec | None = None
) -> "PaymentRisk":
    """Fit on rows from :func:`training_rows`; equal rows, seed and spec give equal bytes.

    The binary model learns only from invoices due before the cut-off: their outcome is known
    whatever it is. The hazard model takes every row, an open one up to the day it was last seen.
    """
    spec = spec or PaymentSpec()
    rows = rows.sort("issued_on", "invoice_id", maintain_order=True)
    mature = rows.filter(pl.col("due_on") < pl.col("observed_until"))
    rung = spec.rung(mature.height, mature["customer_id"].n_unique())
    is_late = (mature["settled_on"] > mature["due_on"]).fill_null(value=True)
    if rung is Rung.PRIOR or is_late.n_unique() < 2:
        return PaymentRisk(Rung.PRIOR, spec.binary_weight)
    binary = _train(
        _matrix(mature, _BINARY_COLUMNS),
        is_late.cast(pl.Float32).to_numpy(),
        columns=_BINARY_COLUMNS,
        parameters={**spec.binary(rung), **_common(seed)},
    )
    steps, is_settled = _hazard_rows(rows)
    hazard = _train(
        steps,
        is_settled,
        columns=(*_INVOICE_COLUMNS, *_STEP_COLUMNS),
        parameters={**spec.hazard(rung), **_common(seed)},
        start=_start(steps),
    )
    return PaymentRisk(rung, spec.binary_weight, hazard, binary)


@dataclass(frozen=True, slots=True)
class PaymentRisk:
    """A fitted model. Without boosters it is the prior rung: the customer's own distribution."""

    rung: Rung
    binary_weight: float
    hazard: "lightgbm.Booster | None" = None
    binary: "lightgbm.Booster | None" = None

    def predict(self, features: pl.DataFrame) -> pl.DataFrame:
        """Predict each row; never null, also for a customer that was never seen.

        Parameters
        ----------
        features : pl.DataFrame
            ``invoice_id`` and ``COLUMNS``.

        Returns
        -------
        pl.DataFrame, one row per row, same order
            ``invoice_id``; ``p_late`` in [0, 1]; ``days_late_p10, p50, p90`` days after due,
            negative: early; ``p_never``: P(never settled). p50 > 0 exactly where p_late > .5.
        """
        _check_columns(features)
        chunks = [
            self._predict_chunk(features.slice(start, _CHUNK_ROWS))
            for start in range(0, features.height, _CHUNK_ROWS)
        ]
        names = dict.fromkeys(_PREDICTIONS, pl.Float64)
        figures = (
            pl.DataFrame(np.concatenate(chunks), schema=names)
            if chunks
            else pl.DataFrame(schema=names)
        )
        return features.select("invoice_id").hstack(figures)

    def open_shares(self, features: pl.DataFrame) -> Floats:
        """P(still open after each step), one row per invoice, one column per ``EDGES``."""
        _check_columns(features)
        threads = 1 if features.height <= _FEW_ROWS else _THREADS
        hazards = self._hazards(features, threads)
        before_issue = _ENDS[None, :] < -features["terms_days"].to_numpy()[:, None]
        still_open = 1.0 - np.where(before_issue, 0.0, hazards)
        open_shares: Floats = np.cumprod(still_open, axis=1, dtype=np.float64)
        if self.binary is None:
            return open_shares
        inputs = _matrix(features, _BINARY_COLUMNS)
        direct = np.asarray(self.binary.predict(inputs, num_threads=threads), dtype=np.float64)
        late = open_shares[:, ON_TIME_STEPS - 1]
        return _scaled(open_shares, late + self.binary_weight * (direct - late))

    def _hazards(self, features: pl.DataFrame, threads: int) -> Floats:
        """Hazard by step: the model's; late steps that hardly any invoice reaches: the own one."""
        hazards: Floats = np.array(features.select(OWN_HAZARDS).to_numpy())
        if self.hazard is None:
            return hazards
        figures = _matrix(features, COLUMNS)
        everyone = np.arange(features.height)
        for first, last in ((0, _NEAR_STEPS), (_NEAR_STEPS, STEPS)):
            still_open = np.prod(1.0 - hazards[:, :first], axis=1)
            going = everyone[still_open > _HARDLY_ANY] if first else everyone
            row = np.repeat(going, last - first)
            step = np.tile(np.arange(first, last), len(going))
            if row.size:
                inputs = _step_matrix(figures, row, step)
                learnt = self.hazard.predict(inputs, raw_score=True, num_threads=threads)
                hazards[row, step] = 1.0 / (1.0 + np.exp(-(learnt + _start(inputs))))
        return hazards

    def to_bytes(self) -> dict[str, bytes]:
        """The model as files of text: LightGBM's own format, and a head with their SHA-256."""
        boosters = {"hazard.txt": self.hazard, "binary.txt": self.binary}
        texts = {
            name: booster.model_to_string().encode()
            for name, booster in boosters.items()
            if booster is not None
        }
        head = {
            "kind": "payment_risk",
            "format": FORMAT,
            "rung": self.rung.value,
            "binary_weight": self.binary_weight,
            "columns": list(COLUMNS),
            "edges": list(EDGES),
            "sha256": {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()},
        }
        return {HEAD: json.dumps(head, indent=1, sort_keys=True).encode(), **texts}

    @property
    def digest(self) -> str:
        """SHA-256 of the head, which holds the digests of the other files."""
        return hashlib.sha256(self.to_bytes()[HEAD]).hexdigest()

    def to_files(self, folder: Path) -> None:
        """Write the files of :meth:`to_bytes` into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.to_bytes().items():
            (folder / name).write_bytes(content)

    @classmethod
    def from_files(cls, folder: Path) -> "PaymentRisk":
        """Read what :meth:`to_files` wrote.

        Raises
        ------
        ModelError
            A file is missing or altered, or the model was made for other features.
        """
        files = {path.name: path.read_bytes() for path in folder.glob("*") if path.is_file()}
        return cls.from_bytes(files)

    @classmethod
    def from_bytes(cls, files: dict[str, bytes]) -> "PaymentRisk":
        """Rebuild a model from the bytes of its files, after checking their digests.

        Raises
        ------
        ModelError
            A file is missing or altered, or the model was made for other features.
        """
        try:
            head = json.loads(files[HEAD])
            rung, weight = Rung(head["rung"]), float(head["binary_weight"])
            made_for = (head["format"], tuple(head["columns"]), tuple(head["edges"]))
            digests: dict[str, str] = dict(head["sha256"])
        except (KeyError, TypeError, ValueError) as error:
            message = f"payment risk model has no readable {HEAD}: fetch it again or retrain"
            raise ModelError(message, reason=repr(error)) from error
        if made_for != (FORMAT, COLUMNS, EDGES):
            message = "payment risk model was made for other features: run `prebill train`"
            raise ModelError(message, format=head["format"])
        boosters = {name: _booster(name, files.get(name), digests[name]) for name in digests}
        return cls(rung, weight, boosters.get("hazard.txt"), boosters.get("binary.txt"))

    def _predict_chunk(self, features: pl.DataFrame) -> Floats:
        shares = self.open_shares(features)
        earliest = np.maximum(-features["terms_days"].to_numpy() - 1.0, _EARLIEST)
        days = [_percentile(shares, earliest, level) for level in (0.1, 0.5, 0.9)]
        never = shares[:, -1] * NEVER_SHARE
        return np.column_stack([shares[:, ON_TIME_STEPS - 1], *days, never])


def _booster(name: str, content: bytes | None, sha256: str) -> "lightgbm.Booster":
    import lightgbm

    if content is None or hashlib.sha256(content).hexdigest() != sha256:
        what = "is missing" if content is None else "does not match its SHA-256"
        message = f"payment risk model: {name} {what}: fetch the model again or retrain"
        raise ModelError(message, file=name)
    return lightgbm.Booster(model_str=content.decode())


def _check_columns(features: pl.DataFrame) -> None:
    absent = sorted({"invoice_id", *COLUMNS} - set(features.columns))
    if absent:
        message = f"payment risk needs the columns {', '.join(absent)}: make them by features()"
        raise ModelError(message, columns=absent)


def _common(seed: int) -> dict[str, object]:
    return {
        "objective": "binary",
        "seed": seed,
        "num_threads": _FIT_THREADS,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def _train(
    inputs: Matrix,
    target: npt.NDArray[np.float32],
    *,
    columns: tuple[str, ...],
    parameters: dict[str, object],
    start: Floats | None = None,
) -> "lightgbm.Booster":
    import lightgbm

    data = lightgbm.Dataset(inputs, target, feature_name=list(columns), init_score=start)
    return lightgbm.train(parameters, data)


def _matrix(rows: pl.DataFrame, columns: tuple[str, ...]) -> Matrix:
    return rows.select(pl.col(columns).cast(pl.Float32)).to_numpy()


def _hazard_rows(
    rows: pl.DataFrame,
) -> tuple[Matrix, npt.NDArray[np.float32]]:
    """One row per invoice and step in which it was open at the start and seen to the end."""
    terms = rows["terms_days"].to_numpy()
    seen_days = (rows["observed_until"] - rows["due_on"]).dt.total_days().to_numpy() - 1
    settled = rows["settled_on"].is_not_null().to_numpy()
    delay = (rows["settled_on"] - rows["due_on"]).dt.total_days().fill_null(0).to_numpy()
    first = np.searchsorted(_ENDS, -terms)
    event = np.searchsorted(_ENDS, np.maximum(delay, -terms))
    seen = np.where(settled, event + 1, np.searchsorted(_ENDS, seen_days, side="right"))
    count = np.maximum(np.minimum(seen, STEPS) - first, 0)
    row = np.repeat(np.arange(rows.height), count)
    step = np.arange(row.size) - np.repeat(np.cumsum(count) - count - first, count)
    is_settled = settled[row] & (step == event[row])
    return _step_matrix(_matrix(rows, COLUMNS), row, step), is_settled.astype(np.float32)


def _step_matrix(
    figures: Matrix,
    row: npt.NDArray[np.int64],
    step: npt.NDArray[np.int64],
) -> Matrix:
    """The invoice's features beside those of the step: its day, weekday and the own habits then."""
    at = {name: index for index, name in enumerate(COLUMNS)}
    end = _ENDS[step]
    # A step of several days has no weekday of its own.
    weekday = np.mod(np.nan_to_num(figures[row, at["due_weekday"]]) - 1 + end, 7).astype(np.int64)
    share = figures[row, at[WEEKDAY_SHARES[0]] + weekday]
    columns = [
        end,
        np.where(_IS_DAY[step], weekday + 1, np.nan),
        np.where(_IS_DAY[step], share, np.nan),
        end + figures[row, at["terms_days"]],
        figures[row, at[OWN_HAZARDS[0]] + step],
        *(end - figures[row, at[name]] for name in _RELATIVE),
    ]
    own = figures[:, : len(_INVOICE_COLUMNS)][row]
    return np.hstack([own, np.column_stack(columns).astype(np.float32)])


def _start(steps: Matrix) -> Floats:
    """Log odds of the own hazard, which the model corrects: little data leaves it standing."""
    column = len(_INVOICE_COLUMNS) + _STEP_COLUMNS.index("own_hazard")
    hazard = np.clip(steps[:, column].astype(np.float64), 1e-4, 1.0 - 1e-4)
    return np.log(hazard / (1.0 - hazard))


def _scaled(open_shares: Floats, late: Floats) -> Floats:
    """Scale the distribution to another P(late), each side of the due date in itself as it was."""
    before = open_shares[:, ON_TIME_STEPS - 1 : ON_TIME_STEPS]
    target = late[:, None]
    early = 1.0 - (1.0 - open_shares) * (1.0 - target) / np.maximum(1.0 - before, 1e-12)
    after = open_shares * target / np.maximum(before, 1e-12)
    on_time = np.arange(STEPS) < ON_TIME_STEPS
    return np.where(on_time, early, after)


def _percentile(open_shares: Floats, earliest: Floats, level: float) -> Floats:
    """First day by which ``level`` is settled; inside a step of several days, by straight line."""
    settled = 1.0 - open_shares
    step = (settled < level).sum(axis=1)
    within = np.minimum(step, STEPS - 1)
    row = np.arange(len(settled))
    reached = settled[row, within]
    before = np.where(within > 0, settled[row, np.maximum(within - 1, 0)], 0.0)
    start = np.maximum(_STARTS[within], np.minimum(earliest, _ENDS[within] - 1))
    part = np.clip((level - before) / np.maximum(reached - before, 1e-12), 0.0, 1.0)
    day = np.ceil(start + part * (_ENDS[within] - start))
    return np.where(step == STEPS, TAIL_DAYS, day)
