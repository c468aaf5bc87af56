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
from prebill.core.scoring.features.payment import COLUMNS, EDGES, FEATURES
from prebill.core.scoring.features.payment_history import STEPS
from prebill.core.scoring.models.payment_distribution import ENDS, PaymentDistribution
from prebill.core.scoring.models.payment_rows import training_rows
from prebill.core.scoring.models.payment_spec import PaymentSpec, Rung
from prebill.core.scoring.models.payment_steps import STEP_COLUMNS, StepInputs, learnt_steps

__all__ = ["PaymentRisk", "PaymentSpec", "Rung", "fit_payment_risk", "training_rows"]

if TYPE_CHECKING:
    import lightgbm

Matrix = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

#: Grows when the meaning of a file changes.
FORMAT: Final = 2
HEAD: Final = "payment_risk.json"
#: Ends of the parts in which steps are predicted: a later part only for invoices of which more
#: than this share is open by then; the others keep their own hazard there.
_PARTS: Final = (EDGES.index(-1) + 1, EDGES.index(10) + 1, STEPS)
_HARDLY_ANY: Final = 0.01
_CHUNK_ROWS: Final = 10_000
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
    is_mature = rows["due_on"] < rows["observed_until"]
    mature = rows.filter(is_mature)
    rung = spec.rung(mature["invoice_id"].n_unique(), mature["customer_id"].n_unique())
    is_late = (mature["settled_on"] > mature["due_on"]).fill_null(value=True)
    if rung is Rung.PRIOR or is_late.n_unique() < 2:
        return PaymentRisk(Rung.PRIOR, spec.binary_weight)
    inputs = StepInputs(rows)
    binary = _train(
        inputs.figures[is_mature.to_numpy()],
        is_late.cast(pl.Float32).to_numpy(),
        columns=tuple(FEATURES),
        parameters={**spec.binary(rung), **_common(seed)},
        start=inputs.late_start[is_mature.to_numpy()],
    )
    row, step, is_settled = learnt_steps(rows)
    hazard = _train(
        inputs.matrix(row, step),
        is_settled,
        columns=STEP_COLUMNS,
        parameters={**spec.hazard(rung), **_common(seed)},
        start=inputs.start(row, step),
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
        told = self.distribution(features)
        days = [told.percentile(level) for level in (0.1, 0.5, 0.9)]
        figures = zip(_PREDICTIONS, (told.late, *days, told.never), strict=True)
        named = [pl.Series(name, values) for name, values in figures]
        return pl.DataFrame([features["invoice_id"], *named])

    def open_shares(self, features: pl.DataFrame) -> Floats:
        """P(still open after each step), one row per invoice, one column per ``EDGES``."""
        return self.distribution(features).open_shares

    def distribution(self, features: pl.DataFrame) -> PaymentDistribution:
        """When each row will be settled: P(more than n days), percentiles, the expected day.

        Raises
        ------
        ModelError
            A column is absent.
        """
        _check_columns(features)
        threads = 1 if features.height <= _FEW_ROWS else _THREADS
        chunks = [
            self._chunk(StepInputs(features.slice(start, _CHUNK_ROWS)), threads)
            for start in range(0, max(features.height, 1), _CHUNK_ROWS)
        ]
        terms = features["terms_days"].to_numpy()
        return PaymentDistribution(np.concatenate(chunks), terms)

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

    def _chunk(self, inputs: StepInputs, threads: int) -> Floats:
        """P(still open after each step)."""
        is_possible = ENDS[None, :] >= -inputs.terms[:, None]
        hazards = np.where(is_possible, inputs.own, 0.0)
        if self.hazard is not None:
            self._correct(hazards, inputs, is_possible, threads)
        open_shares = np.cumprod(1.0 - hazards, axis=1, dtype=np.float64)
        told = PaymentDistribution(open_shares, inputs.terms.astype(np.float64))
        if self.binary is None or not len(inputs.terms):
            return told.open_shares
        learnt = self.binary.predict(inputs.figures, raw_score=True, num_threads=threads)
        direct = _share(np.asarray(learnt, dtype=np.float64) + inputs.late_start)
        return told.scaled(told.late + self.binary_weight * (direct - told.late)).open_shares

    def _correct(
        self,
        hazards: Floats,
        inputs: StepInputs,
        is_possible: npt.NDArray[np.bool_],
        threads: int,
    ) -> None:
        """Put the model's hazards in the place of the own ones, part by part."""
        few = len(hazards) <= _FEW_ROWS
        # Asking costs more than answering: few rows are asked at once, and what is not wanted left.
        learnt = self._learnt(inputs, is_possible, threads) if few else hazards
        first = 0
        for last in _PARTS:
            is_going = np.prod(1.0 - hazards[:, :first], axis=1) > _HARDLY_ANY
            is_wanted = np.zeros_like(is_possible)
            is_wanted[:, first:last] = is_possible[:, first:last] & is_going[:, None]
            if not few:
                learnt = self._learnt(inputs, is_wanted, threads)
            hazards[is_wanted] = learnt[is_wanted]
            first = last

    def _learnt(self, inputs: StepInputs, is_wanted: npt.NDArray[np.bool_], threads: int) -> Floats:
        """The model's hazards of the wanted steps."""
        assert self.hazard is not None
        found = np.zeros(is_wanted.shape)
        row, step = np.nonzero(is_wanted)
        if row.size:
            matrix = inputs.matrix(row, step)
            learnt = self.hazard.predict(matrix, raw_score=True, num_threads=threads)
            found[row, step] = _share(np.asarray(learnt) + inputs.start(row, step))
        return found


def _share(log_odds: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-log_odds))


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
