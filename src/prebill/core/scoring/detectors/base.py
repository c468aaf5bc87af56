"""The contract of a detector, and how it words a finding. High = unusual."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from prebill.core.schemas.internal import FINDINGS, GAPS
from prebill.core.scoring.features.declaration import BEFORE, RECEIVED, USAGE, Feature, alike
from prebill.core.scoring.frames import Books, ScoringInputs
from prebill.core.scoring.models.error_risk import TAIL
from prebill.core.scoring.models.forest import Forest
from prebill.core.scoring.norms import Norms
from prebill.core.scoring.tails import Tails

TAILS: Final = pl.Schema({"invoice_id": pl.String, "tail": pl.Float64})
#: What a judge says that has nothing to say: words are costly even of no rows.
NOTHING: Final = FINDINGS.empty()
STATISTICAL: Final = "statistical"
EXACT: Final = "exact"
COULD_NOT_JUDGE: Final = "could_not_judge"
#: A statistical finding is worth a reviewer's reading from this tail on.
WORTH_SAYING: Final = 0.98


@dataclass(frozen=True, slots=True)
class Scene:
    """What every detector sees; nothing in it is changed.

    ``rows``: drafts and, where norms are learnt here, settled past (``is_draft`` false) with the
    columns of ``INVOICES``, ``series`` and all invoice features; ``lines``: their lines with
    :func:`features.invariants.line_features`; ``usage``: usage features of their windows;
    ``norms`` and ``tails``: what is ordinary.
    """

    inputs: ScoringInputs
    books: Books
    rows: pl.DataFrame
    lines: pl.DataFrame
    usage: pl.DataFrame
    norms: Norms
    tails: Tails
    forest: Forest | None = None

    @property
    def drafts(self) -> pl.DataFrame:
        """Rows to judge."""
        return drafts_of(self.rows)


@dataclass(frozen=True, slots=True)
class Judged:
    """A detector's answer: a tail a row (null: could not judge), findings, expected but absent."""

    tails: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TAILS))
    findings: pl.DataFrame = field(default_factory=lambda: NOTHING)
    gaps: pl.DataFrame = field(default_factory=GAPS.empty)


@dataclass(frozen=True, slots=True)
class Detector:
    """A registered judge. ``needs`` names what it can't work without, for the reader.

    One that ``reads_usage`` alone is not asked where no usage is known. ``sources`` are what its
    tail, a feature too, is made of.
    """

    name: str
    needs: str
    judge: Callable[[Scene], Judged]
    reads_usage: bool = False
    sources: tuple[str, ...] = ()

    @property
    def tail(self) -> Feature:
        """Its tail as a feature: the column of the feature row."""
        name = f"{TAIL}{self.name}"
        meaning = f"tail of the {self.name} detector in [0, 1], high = unusual"
        null = "the judge was not asked, or could not judge"
        as_of = f"{BEFORE}; {RECEIVED}" if USAGE[0] in self.sources else BEFORE
        return alike({name: meaning}, *self.sources, null=null, as_of=as_of)[name]


def drafts_of(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of drafts; the frame itself where it has no other."""
    return frame if frame["is_draft"].all() else frame.filter("is_draft")


def tails_of(rows: pl.DataFrame, tail: pl.Series) -> pl.DataFrame:
    """Pair ids with tails, past rows included: the combination calibrates itself on them."""
    return rows.select("invoice_id", tail=tail.cast(pl.Float64))


def findings_of(frame: pl.DataFrame, detector: str) -> pl.DataFrame:
    """Complete a frame of findings.

    Parameters
    ----------
    frame : pl.DataFrame
        ``invoice_id, code, score, text`` and, where known, ``basis, amount_minor, expected,
        line_ids, evidence``.
    detector : str
        Its name.
    """
    given = set(frame.columns)
    defaults = {
        "basis": pl.lit(STATISTICAL),
        "amount_minor": pl.lit(None, dtype=pl.Int64),
        "expected": pl.lit(None, dtype=pl.String),
        "line_ids": pl.lit(""),
        "evidence": pl.lit(""),
    }
    extra = [value.alias(name) for name, value in defaults.items() if name not in given]
    return FINDINGS.conform(frame.with_columns(*extra, detector=pl.lit(detector)))


def line_list(column: str = "line_id", most: int = 12) -> pl.Expr:
    """Line ids of a group as text, at most a dozen."""
    ids = pl.col(column)
    return ids.sort_by(ids.str.len_chars(), ids).head(most).str.join(",")
