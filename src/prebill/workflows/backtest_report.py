"""The part of the gate's report on past months: what would have been stopped, and was it wrong."""

import json
from typing import Final

import polars as pl

from prebill.core.money import format_minor
from prebill.core.scoring.backtest import Backtest
from prebill.core.scoring.labels import CREDIT_DAYS
from prebill.core.triage.intervals import clopper_pearson
from prebill.workflows.report_parts import table, text

#: Catches, and misses, written out.
SHOWN: Final = 10
#: Upper ends of the groups of P(late) that are compared with what happened.
_GROUPS: Final = (0.2, 0.4, 0.6, 0.8)
_HOW: Final = (
    "<p class=quiet>Each month judged as if it had been live: with models of its first morning "
    "and nothing that came later.</p>"
)
_MONEY: Final = {"expected_loss_minor": "At stake", "error_minor": "Credited"}
_STOPPED: Final = pl.col("action") != "release"
_WRONG: Final = pl.col("is_error").fill_null(value=False)


def backtest_html(found: Backtest) -> str:
    """Write the section; a history that is too short says so."""
    judged = found.judged
    if judged.is_empty():
        return (
            "<h2>Past months</h2><p>None could be judged: that needs a whole month of invoices "
            "with a month before it.</p>"
        )
    months = found.months["month"].to_list()
    is_known = judged["is_error"].is_not_null().any()
    body = [
        f"<h2>What it would have found from {text(months[0])} to {text(months[-1])}</h2>",
        _HOW,
        _answer(judged) if is_known else _unanswered(judged),
        _months(found.months, is_known=is_known),
        _money(judged, is_known=is_known),
        _largest(judged, is_known=is_known),
        _payment(judged),
        _limits(is_known=is_known),
    ]
    return "\n".join(body)


def reason_list(reasons: str) -> str:
    """A decision's reasons (JSON) as a list, each with the lines that it is about."""
    items = "".join(f"<li>{text(_reason(one))}</li>" for one in json.loads(reasons))
    return f"<ul>{items}</ul>"


def _reason(reason: dict[str, object]) -> str:
    lines = reason["lines"]
    named = ", ".join(lines) if isinstance(lines, list) else ""
    where = f" (line{'s' if ',' in named else ''} {named})" if named else ""
    return f"{reason['text']}{where}"


def _answer(judged: pl.DataFrame) -> str:
    """Recall and precision in words, with their intervals."""
    known = judged.filter(pl.col("is_error").is_not_null())
    wrong = known.filter("is_error")
    caught, stopped = wrong.filter(_STOPPED).height, known.filter(_STOPPED).height
    if wrong.is_empty():
        return (
            f"<p class=key>None of {known.height:,} invoices was credited within {CREDIT_DAYS} "
            f"days; {stopped:,} would have been stopped.</p>"
        )
    went = "it" if caught == 1 else "they"
    return (
        f"<p class=key>Credited later: <b>{wrong.height:,}</b> of {known.height:,} invoices. Of "
        f"these <b>{caught:,}</b> would have been stopped before {went} went out "
        f"({_share(caught, wrong.height)}). Of {stopped:,} stopped ones whose outcome is known, "
        f"{caught:,} turned out to be wrong ({_share(caught, stopped)}).</p>"
    )


def _unanswered(judged: pl.DataFrame) -> str:
    stopped = judged.filter(_STOPPED).height
    return (
        f"<p class=key><b>{stopped:,}</b> of {judged.height:,} invoices would have been stopped. "
        f"No credit note in the files answers for these months (one may come {CREDIT_DAYS} days "
        "later), so that nothing says which of them were wrong.</p>"
    )


def _share(hits: int, of: int) -> str:
    if not of:
        return "none"
    low, high = clopper_pearson(hits, of)
    return f"{hits / of:.0%}, 95 % interval {low:.0%} to {high:.0%}"


def _months(months: pl.DataFrame, *, is_known: bool) -> str:
    names = ["Month", "Invoices", "Hold", "Review"]
    more = ["Outcome known", "Credited later", "Of these stopped", "Missed"] if is_known else []
    rows = [
        [row["month"], *(f"{row[name]:,}" for name in ("drafts", "hold", "review"))]
        + (
            [f"{row[name]:,}" for name in ("known", "errors", "stopped_errors")]
            + [f"{row['errors'] - row['stopped_errors']:,}"]
            if is_known
            else []
        )
        for row in months.iter_rows(named=True)
    ]
    return table([*names, *more], rows, money_from=1)


def _money(judged: pl.DataFrame, *, is_known: bool) -> str:
    """Issued, stopped and credited money by currency; currencies never meet in a sum."""
    sums = judged.group_by("currency").agg(
        issued=pl.col("total_minor").sum(),
        stopped=pl.col("total_minor").filter(_STOPPED).sum(),
        credited=pl.col("error_minor").filter(_WRONG).sum(),
        caught=pl.col("error_minor").filter(_WRONG & _STOPPED).sum(),
    )
    names = ["issued", "stopped", *(["credited", "caught"] if is_known else [])]
    titles = ["Issued", "Would have been stopped", "Credited later", "Of it stopped"]
    rows = [
        [row["currency"], *(format_minor(row[name], row["currency"]) for name in names)]
        for row in sums.sort("currency").iter_rows(named=True)
    ]
    shown = table(["Currency", *titles[: len(names)]], rows, money_from=1)
    return f"<h3>The same in money</h3>{shown}"


def _largest(judged: pl.DataFrame, *, is_known: bool) -> str:
    if not is_known:
        stopped = judged.filter(_STOPPED)
        stopped = stopped.sort(
            pl.col("action") != "hold", -pl.col("expected_loss_minor"), "invoice_id"
        )
        return _named("What would have been stopped, the most at stake first", stopped)
    wrong = judged.filter(_WRONG).sort("error_minor", "invoice_id", descending=[True, False])
    catches, misses = wrong.filter(_STOPPED), wrong.filter(~_STOPPED)
    return _named("The largest catches", catches, money="error_minor") + _named(
        "The largest that would have gone out", misses, money="error_minor"
    )


def _named(title: str, rows: pl.DataFrame, *, money: str = "expected_loss_minor") -> str:
    """Name some invoices with their reasons; ``money`` stands beside the total."""
    if rows.is_empty():
        return ""
    more = f" ({SHOWN} of {rows.height:,})" if rows.height > SHOWN else ""
    names = ["Invoice", "Customer", "Total", _MONEY[money], "Why"]
    cells = [
        [
            f"{text(row['invoice_id'])}<br><span class=day>{text(row['issued_on'])}</span>",
            text(row["customer_id"]),
            *(text(format_minor(row[name], row["currency"])) for name in ("total_minor", money)),
            reason_list(row["reasons"]),
        ]
        for row in rows.head(SHOWN).iter_rows(named=True)
    ]
    body = table(names, cells, money_from=2, money_to=4, is_html=True)
    return f"<h3>{title}{more}</h3>{body}"


def _payment(judged: pl.DataFrame) -> str:
    """What was said of late payment beside what happened, in groups of what was said."""
    due = judged.filter(pl.col("is_late").is_not_null())
    if due.is_empty():
        return ""
    grouped = (
        due.with_columns(group=pl.sum_horizontal(pl.col("p_late") >= end for end in _GROUPS))
        .group_by("group")
        .agg(rows=pl.len(), said=pl.col("p_late").mean(), was=pl.col("is_late").mean())
        .sort("group")
    )
    ends = (0.0, *_GROUPS, 1.0)
    rows = [
        [
            f"{ends[row['group']]:.0%} to {ends[row['group'] + 1]:.0%}",
            *(f"{row['rows']:,}", f"{row['said']:.0%}", f"{row['was']:.0%}"),
        ]
        for row in grouped.iter_rows(named=True)
    ]
    names = ["Said on the first morning: late with", "Invoices", "Said, mean", "Were late"]
    return "<h3>Late payment, said and happened</h3>" + table(names, rows, money_from=1)


def _limits(*, is_known: bool) -> str:
    credited = (
        "An invoice that nobody complained about counts as right, and a credit out of goodwill as "
        "no error; who was credited after more than "
        f"{CREDIT_DAYS} days is missing here. "
        if is_known
        else ""
    )
    return (
        f"<p class=quiet>What this can't show: {credited}Entitlements of then, and contract terms "
        "that were recorded later, are not known, so that an agreed change may look unexplained. A "
        "missing invoice has no draft and is not in these figures.</p>"
    )
