"""The gate's report: one HTML file without scripts or links that a finance person can forward."""

import json
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from prebill.core.collections.dunning import AS_AGREED, NOTICE, propose
from prebill.core.money import format_minor
from prebill.core.policy.collecting import Collecting
from prebill.workflows.backtest_report import backtest_html, reason_list
from prebill.workflows.report_parts import table, text

if TYPE_CHECKING:
    from prebill.workflows.gate import GateResult

#: Stopped drafts written out; the rest is in the result file.
SHOWN: Final = 200
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --hold: #b3261e; --review: #946200; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
table { border-collapse: collapse; width: 100% } caption { text-align: left; padding: .3rem 0 }
th, td { text-align: left; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top } td.money, th.money { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums }
.hold { color: var(--hold); font-weight: 600 } .review { color: var(--review); font-weight: 600 }
ul { margin: 0; padding-left: 1.1rem } .quiet { opacity: .75; font-size: .9rem }
.key { font-size: 1.1rem } .day { opacity: .75; font-size: .9rem; white-space: nowrap }
h3 { font-size: 1rem; margin: 1.6rem 0 .3rem }
@media print { body { max-width: none; margin: 0 } tr { break-inside: avoid } }
"""


def report_html(result: "GateResult") -> str:
    """Write the report of a gate run."""
    joined = result.scored.decisions.join(
        result.inputs.drafts.invoices.select(
            "invoice_id", "customer_id", "issued_on", "due_on", "total_minor"
        ),
        on="invoice_id",
        how="left",
    )
    parts = [
        _head(joined),
        _money_lines(joined),
        _stopped(joined),
        _gaps(result.scored.gaps),
        _payment(joined, result.policy.collecting),
        backtest_html(result.backtest) if result.backtest else "",
        _left_out(result),
        _foot(result),
    ]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Prebill: drafts judged</title><style>{_STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def _head(drafts: pl.DataFrame) -> str:
    days = drafts["issued_on"].drop_nulls().sort().cast(pl.String).to_list()
    span = " to ".join(sorted({days[0], days[-1]})) if days else "unknown"
    counts = dict(drafts["action"].value_counts().iter_rows())
    stopped = counts.get("hold", 0) + counts.get("review", 0)
    return (
        f"<h1>{drafts.height:,} draft invoices judged, {stopped:,} to look at before they go out"
        f"</h1><p class=quiet>Issue date {text(span)}. <b>hold</b>: do not send before it is "
        "resolved; <b>review</b>: have one person look; everything else may be released.</p>"
    )


def _money_lines(drafts: pl.DataFrame) -> str:
    """Drafted, released and stopped money by currency; currencies never meet in a sum."""
    rows = []
    drafts = drafts.filter(pl.col("total_minor").is_not_null())
    for (currency,), part in drafts.partition_by("currency", as_dict=True).items():
        totals = dict(part.group_by("action").agg(pl.col("total_minor").sum()).iter_rows())
        cells = [format_minor(int(part["total_minor"].sum()), currency)]
        cells += [format_minor(totals.get(a, 0), currency) for a in ("release", "review", "hold")]
        cells.append(format_minor(int(part["expected_loss_minor"].sum()), currency))
        rows.append([currency, *cells])
    names = ["Currency", "Drafted", "Release", "Review", "Hold", "Expected loss"]
    return "<h2>Money</h2>" + table(names, sorted(rows), money_from=1)


def _stopped(drafts: pl.DataFrame) -> str:
    stopped = drafts.filter(pl.col("action") != "release")
    if stopped.is_empty():
        return "<h2>To look at</h2><p>Nothing.</p>"
    ranked = stopped.sort(
        pl.col("action") != "hold", "priority", descending=[False, True], nulls_last=True
    )
    rows = [_stopped_row(row) for row in ranked.head(SHOWN).iter_rows(named=True)]
    more = ranked.height - SHOWN
    note = f"<p class=quiet>{more:,} more are in the result file.</p>" if more > 0 else ""
    names = ["Invoice", "Customer", "Total", "At stake", "Why"]
    return (
        "<h2>To look at, most money a reviewer's minute first</h2>"
        + table(names, rows, money_from=2, money_to=4, is_html=True)
        + note
    )


def _stopped_row(row: dict[str, object]) -> list[str]:
    currency, total = str(row["currency"]), row["total_minor"]
    money = ["not read", ""]
    if total is not None:
        amounts = (int(str(total)), int(str(row["expected_loss_minor"])))
        money = [text(format_minor(amount, currency)) for amount in amounts]
    action = text(row["action"])
    return [
        f'{text(row["invoice_id"])}<br><span class="{action}">{action}</span>',
        text(row["customer_id"] or ""),
        *money,
        reason_list(str(row["reasons"])),
    ]


def _gaps(gaps: pl.DataFrame) -> str:
    if gaps.is_empty():
        return ""
    invoices = gaps.filter(pl.col("kind") == "invoice")
    ranked = pl.concat([invoices, gaps.filter(pl.col("kind") != "invoice")]).head(SHOWN)
    rows = [
        [row["customer_id"], row["text"], format_minor(row["expected_minor"], row["currency"])]
        for row in ranked.sort("kind", "score", descending=[False, True]).iter_rows(named=True)
    ]
    return (
        f"<h2>Expected and absent: {invoices.height:,} invoices, "
        f"{gaps.height - invoices.height:,} lines</h2>"
        + table(["Customer", "What", "Ordinary amount"], rows, money_from=2)
    )


def _payment(drafts: pl.DataFrame, limits: Collecting) -> str:
    """When drafts are likely paid, and what is proposed for those that are no ordinary payers."""
    dated = drafts.filter(pl.col("due_on").is_not_null()).with_columns(
        terms_days=(pl.col("due_on") - pl.col("issued_on")).dt.total_days()
    )
    proposed = dated.join(propose(dated, limits), on="invoice_id", maintain_order="left")
    unusual = proposed.filter((pl.col("terms") != AS_AGREED) | (pl.col("step") == NOTICE))
    ranked = unusual.sort("currency", "total_minor", "invoice_id", descending=[False, True, False])
    rows = [_payment_row(row) for row in ranked.head(SHOWN).iter_rows(named=True)]
    ordinary = proposed.height - unusual.height
    more = f" The {SHOWN:,} largest are shown." if unusual.height > SHOWN else ""
    names = ["Invoice", "Total", "Customer", "Likely paid on", "Terms", "First step"]
    return (
        f"<h2>Payment: {unusual.height:,} with a proposal</h2><p class=quiet>Proposals "
        "only: nothing is sent, and what was agreed stays. The other "
        f"{ordinary:,} drafts: terms as agreed, a reminder after the due date.{more}</p>"
    ) + (table(names, rows, money_from=1, money_to=2) if rows else "")


def _payment_row(row: dict[str, Any]) -> list[object]:
    return [
        row["invoice_id"],
        format_minor(row["total_minor"], row["currency"]),
        row["customer_id"],
        row["expected_on"] or "may never be paid",
        row["terms_text"],
        f"{row['step_text']}: {row['step_on']}",
    ]


def _left_out(result: "GateResult") -> str:
    items = "".join(f"<li>{text(note)}</li>" for note in result.notes)
    broken = (
        f"<p>{result.broken.height:,} broken values were put aside; each is named with file, line "
        "and rule in the quarantine file beside the result.</p>"
        if result.broken.height
        else ""
    )
    return f"<h2>Left out</h2>{broken}<ul>{items or '<li>nothing</li>'}</ul>"


def _foot(result: "GateResult") -> str:
    history = result.inputs.history.invoices
    versions = result.scored.decisions["model_versions"].unique().to_list()
    shown = ", ".join(
        f"{name} {str(version)[:12]}" for name, version in json.loads(versions[0]).items()
    )
    return (
        f"<p class=quiet>Compared with {history.height:,} past invoices. P(error) is a stated "
        f"prior updated by how unusual a draft is, until reviewers' verdicts teach it. Policy "
        f"{text(result.policy.name)} {result.policy.digest[:12]}; models: {text(shown)}.</p>"
    )
