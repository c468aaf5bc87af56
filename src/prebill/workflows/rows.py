"""A shard's result as rows of tables, made once for the whole shard. Pure but for the clock given.

Chunks are slices of it, so that the transactions themselves stay short.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import polars as pl

from prebill.core.money import CURRENCY_EXPONENTS, expected_loss_minor
from prebill.core.schemas.internal import CASES, DECISIONS, DRAFTS
from prebill.core.scoring.labels import SAMPLE
from prebill.core.triage.causes import causes
from prebill.store.drafts import lines_json
from prebill.workflows.shard import ShardResult
from prebill.workflows.versions import STATES

if TYPE_CHECKING:
    from prebill.core.policy.model import Policy

CHUNK: Final = 500
_GAP_VERSION: Final = "gap"
_CODES: Final = pl.List(pl.Struct({"code": pl.String()}))
_PPM: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which run stores the rows, who started it, and when they are entered."""

    run_id: str
    period: str
    actor: str
    entered_at: datetime


@dataclass(frozen=True, slots=True)
class ShardRows:
    """Rows sorted by draft. ``drafts`` and ``decisions`` go row by row together.

    ``cases``: ``CASES`` and ``cause``, null where a case stands alone.
    """

    drafts: pl.DataFrame
    decisions: pl.DataFrame
    cases: pl.DataFrame
    postings: pl.DataFrame
    gap_decisions: pl.DataFrame
    gap_cases: pl.DataFrame

    def chunks(self) -> list["ShardRows"]:
        """The rows of each transaction; gaps, and a shard without drafts, go with the first."""
        numbered = self.drafts.select(
            "draft_id", chunk=pl.int_range(pl.len(), dtype=pl.Int64) // CHUNK
        )
        cases, postings = _dealt(self.cases, numbered), _dealt(self.postings, numbered)
        return [
            ShardRows(
                drafts=self.drafts.slice(number * CHUNK, CHUNK),
                decisions=self.decisions.slice(number * CHUNK, CHUNK),
                cases=cases.get(number, self.cases.clear()),
                postings=postings.get(number, self.postings.clear()),
                gap_decisions=self.gap_decisions.clear() if number else self.gap_decisions,
                gap_cases=self.gap_cases.clear() if number else self.gap_cases,
            )
            for number in range(max(1, -(-self.drafts.height // CHUNK)))
        ]

    def only(self, draft_ids: pl.DataFrame) -> "ShardRows":
        """The rows of some drafts (column ``draft_id``), without gaps."""
        return ShardRows(
            drafts=self.drafts.join(draft_ids, on="draft_id", how="semi", maintain_order="left"),
            decisions=self.decisions.join(
                draft_ids, on="draft_id", how="semi", maintain_order="left"
            ),
            cases=self.cases.join(draft_ids, on="draft_id", how="semi", maintain_order="left"),
            postings=self.postings.join(
                draft_ids, on="draft_id", how="semi", maintain_order="left"
            ),
            gap_decisions=self.gap_decisions.clear(),
            gap_cases=self.gap_cases.clear(),
        )


def _dealt(rows: pl.DataFrame, numbered: pl.DataFrame) -> dict[int, pl.DataFrame]:
    """Rows by the chunk of their draft, in one pass."""
    placed = rows.join(numbered, on="draft_id", how="inner", maintain_order="left")
    parts = placed.partition_by("chunk", as_dict=True, include_key=False, maintain_order=True)
    return {int(key[0]): part for key, part in parts.items()}


def rows_of(result: ShardResult, policy: "Policy", stamp: Stamp) -> ShardRows:
    """Turn a shard's result into rows."""
    decided = result.decisions.select(pl.col("invoice_id").alias("draft_id"), "action")
    drafts = (
        DRAFTS.conform(result.drafts)
        .join(decided, on="draft_id", how="left", maintain_order="left")
        .join(lines_json(result.lines), on="draft_id", how="left", maintain_order="left")
        .join(result.finality, on="draft_id", how="left", maintain_order="left")
        .with_columns(
            state=pl.when("is_final")
            .then(pl.col("action").replace_strict(STATES, return_dtype=pl.String()))
            .otherwise(pl.lit("draft")),
            run_id=pl.lit(stamp.run_id),
            entered_at=pl.lit(stamp.entered_at),
            entered_by=pl.lit(stamp.actor),
        )
        .drop("action", "is_final", "late_text")
    )
    chance = policy.sampling.propensity(pl.col("anomaly_score"))
    decisions = _decision_rows(result, stamp).with_columns(
        sample_propensity=pl.when(pl.col("action") == "release").then(chance)
    )
    cases = _with_causes(_case_rows(drafts, decisions, policy, stamp), result)
    gaps = _gap_decisions(result, policy, stamp)
    return ShardRows(
        drafts=drafts,
        decisions=decisions,
        cases=cases,
        postings=result.postings,
        gap_decisions=gaps,
        gap_cases=_gap_cases(gaps, policy, stamp),
    )


def _decision_rows(result: ShardResult, stamp: Stamp) -> pl.DataFrame:
    versions = result.drafts.select("draft_id", draft_version="version")
    findings = result.findings.select(
        "invoice_id", row=pl.struct(pl.exclude("invoice_id")).struct.json_encode()
    )
    listed = findings.group_by("invoice_id", maintain_order=True).agg(pl.col("row").str.join(","))
    listed = listed.select("invoice_id", findings_json=pl.format("[{}]", "row"))
    return (
        DECISIONS.conform(result.decisions)
        .join(listed, on="invoice_id", how="left", maintain_order="left")
        .join(
            feature_hashes(result.feature_rows), on="invoice_id", how="left", maintain_order="left"
        )
        .rename({"invoice_id": "draft_id"})
        .join(versions, on="draft_id", how="left", maintain_order="left")
        .with_columns(
            pl.col("findings_json").fill_null("[]"),
            pl.col("feature_hash").fill_null(""),
            run_id=pl.lit(stamp.run_id),
            draft_hash=pl.col("draft_version"),
            decided_at=pl.lit(stamp.entered_at),
        )
    )


def feature_hashes(rows: pl.DataFrame) -> pl.DataFrame:
    """SHA-256 of each feature row, by which a replay finds that it has the same features."""
    texts = rows.select(
        pl.concat_str(pl.all().cast(pl.String).fill_null(""), separator="|").alias("text")
    )["text"]
    # SHA-256 has no columnar form: 100,000 rows take a tenth of a second.
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    return rows.select("invoice_id", pl.Series("feature_hash", hashes, dtype=pl.String))


def _case_rows(
    drafts: pl.DataFrame, decisions: pl.DataFrame, policy: "Policy", stamp: Stamp
) -> pl.DataFrame:
    """Cases of what waits, and of what is issued and drawn for the sample: nothing waits there."""
    waiting = drafts.filter(pl.col("state").is_in(["in_review", "held"])).select("draft_id")
    chosen = decisions.join(waiting, on="draft_id", how="semi", maintain_order="left")
    issued = drafts.filter(pl.col("state") == "issued").select("draft_id")
    released = decisions.join(issued, on="draft_id", how="semi", maintain_order="left")
    drawn = policy.sampling.drawn(released, policy.digest)
    sampled = _cases(drawn, SAMPLE, policy, stamp).with_columns(
        case_id=sample_case_id(),
        queue=pl.lit(SAMPLE),
        priority=pl.lit(0.0),
        expected_loss_minor=pl.lit(0, dtype=pl.Int64),
    )
    return pl.concat([_cases(chosen, "draft", policy, stamp), sampled])


def _with_causes(cases: pl.DataFrame, result: ShardResult) -> pl.DataFrame:
    """Add ``cause``, where a case may have it in common with others; null: it stands alone."""
    waiting = cases.filter(pl.col("kind") == "draft").select(invoice_id="draft_id")
    findings = result.findings.join(waiting, on="invoice_id", how="semi")
    lines = result.lines.select(
        "line_id",
        "meter",
        "tax_code",
        invoice_id="draft_id",
        price_book="price_book_id",
        product="name",
    )
    drafts = result.drafts.select("currency", "period", invoice_id="draft_id")
    found = causes(findings, lines, drafts).rename({"invoice_id": "draft_id"})
    named = cases.join(found, on="draft_id", how="left", maintain_order="left")
    return named.with_columns(cause=pl.when(pl.col("kind") == "draft").then("cause"))


def sample_case_id() -> pl.Expr:
    """Another name than that of the case that the draft may have had before it was released."""
    return pl.format("sample:{}:{}", "draft_id", pl.col("draft_version").str.slice(0, 12))


def _cases(decisions: pl.DataFrame, kind: str, policy: "Policy", stamp: Stamp) -> pl.DataFrame:
    opened = decisions.with_columns(opened_at=pl.lit(stamp.entered_at))
    codes = pl.col("reasons").str.json_decode(_CODES).list.eval(pl.element().struct.field("code"))
    return CASES.conform(
        opened.select(
            "draft_id",
            "draft_version",
            "action",
            "expected_loss_minor",
            "currency",
            pl.col("priority").fill_null(0.0),
            case_id=pl.format("case:{}:{}", "draft_id", pl.col("draft_version").str.slice(0, 12)),
            kind=pl.lit(kind),
            status=pl.lit("open"),
            queue=policy.queues(codes, pl.col("policy_class")),
            lock_version=pl.lit(1, dtype=pl.Int64),
            opened_at="opened_at",
            due_at=policy.due_at(opened),
        )
    )


def _gap_decisions(result: ShardResult, policy: "Policy", stamp: Stamp) -> pl.DataFrame:
    """A missing invoice has no draft: its decision says what was to be expected and why."""
    if not result.is_grace_over:
        return _empty_decisions(result, stamp)
    gaps = result.gaps.filter(pl.col("kind") == "invoice")
    exponent = pl.col("currency").replace_strict(
        CURRENCY_EXPONENTS, default=2, return_dtype=pl.Float64
    )
    ppm = (pl.col("score").fill_null(1.0) * _PPM).round(0).cast(pl.Int64)
    reason = pl.struct(
        code=pl.lit("invoice_missing"),
        text=pl.col("text"),
        amount_minor=-pl.col("expected_minor"),
        lines=pl.lit([], dtype=pl.List(pl.String)),
    )
    rows = gaps.with_columns(
        invoice_id=pl.format("gap:{}:{}:{}", pl.lit(stamp.period), "customer_id", "product"),
        action=pl.lit("review"),
        proposed_action=pl.lit("review"),
        anomaly_score=pl.col("score"),
        p_error=pl.col("score"),
        p_error_basis=pl.lit("prior"),
        direction=pl.lit("under"),
        expected_loss_minor=expected_loss_minor(pl.col("expected_minor").clip(0), ppm),
        confidence=pl.lit("full"),
        reasons=pl.format("[{}]", reason.struct.json_encode()),
        model_versions=pl.lit("{}"),
        policy_hash=pl.lit(policy.digest),
    ).with_columns(priority=pl.col("expected_loss_minor") / 10.0**exponent / policy.review_minutes)
    return (
        DECISIONS.conform(rows)
        .rename({"invoice_id": "draft_id"})
        .with_columns(
            draft_version=pl.lit(_GAP_VERSION),
            findings_json=pl.lit("[]"),
            feature_hash=pl.lit(""),
            draft_hash=pl.lit(""),
            run_id=pl.lit(stamp.run_id),
            decided_at=pl.lit(stamp.entered_at),
        )
    )


def _empty_decisions(result: ShardResult, stamp: Stamp) -> pl.DataFrame:
    return _decision_rows(result, stamp).clear()


def _gap_cases(gaps: pl.DataFrame, policy: "Policy", stamp: Stamp) -> pl.DataFrame:
    return _cases(gaps, "gap", policy, stamp)
