"""How well faults are found in the demo company: money, kinds of fault, precision of holds.

    python -m tests.benchmarks.demo_company --seeds 11 12 13 14 15

Each seed is ``prebill demo`` from generator to issued invoice, with the two families of faults
that no detector was written for. Money is added up in euro at the last rate of the files; a fault
counts at most as the customer's median invoice before. Tune on seeds 1 to 5, report on others.
"""

import argparse
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import polars as pl

from prebill.core.schemas.inbound import INVOICE_LINES, INVOICES
from prebill.core.scoring.frames import Books
from prebill.core.triage.false_holds import false_hold_rates
from prebill.demo import collect
from prebill.demo.assessment import answered
from prebill.demo.catalogue import PERIOD
from prebill.demo.runner import DEFAULT_CUSTOMERS, Places, run_demo
from prebill.demo.truth import Truth
from prebill.settings import Settings
from prebill.store.drafts import lines_of
from prebill.store.engine import Store
from prebill.workflows.gate_files import load
from tests.benchmarks.false_holds import POLICY, rates_table
from tests.benchmarks.intervals import bootstrap, wilson
from tests.benchmarks.markdown import table
from tests.benchmarks.rival import Reviewed, audit, compare, money_table

HOLD: Final = 2
REVIEW: Final = 1
SEGMENTS: Final = {
    "history": "confidence",
    "currency": "currency",
    "customer": "segment",
    "odd": "kind",
}


@dataclass(frozen=True)
class Result:
    """What a run left: drafts and gaps with decisions, the files it came from, the truth.

    ``decided``: ``draft_id, contract_id, customer_id, currency, total_minor, lines_json, action,
    anomaly_score, priority, confidence``, a row a draft; ``outcome`` as the demo collects it;
    ``gaps``: ``draft_id, priority``; ``books`` the invoices before; ``segments`` by customer.
    """

    truth: Truth
    decided: pl.DataFrame
    outcome: pl.DataFrame
    gaps: pl.DataFrame
    books: Books
    segments: pl.DataFrame
    euro: dict[str, float]


@dataclass(frozen=True)
class Judged:
    """One seed: ``faults`` with ``rank`` (0 to 2) and ``loss`` in euro; every draft and gap.

    ``drafts``: ``contract_id, rank, is_faulty, is_gap``; ``negatives``: ``kind, contract_id,
    rank``; ``clean``: right drafts with their segments.
    """

    seed: int
    faults: pl.DataFrame
    drafts: pl.DataFrame
    negatives: pl.DataFrame
    clean: pl.DataFrame
    reviewed: Reviewed

    @property
    def seen(self) -> pl.DataFrame:
        return self.faults.filter(~pl.col("is_unseen"))


def run(seed: int, customers: int) -> Judged:
    """Make, bill and judge one company in a folder of its own."""
    with TemporaryDirectory(prefix="prebill-demo-") as folder:
        run_demo(
            Path(folder),
            seed=seed,
            customers=customers,
            is_serving=False,
            say=lambda text: print(f"seed {seed}: {text}", file=sys.stderr),
            with_unseen=True,
        )
        return judged(read(Places(Path(folder).resolve())))


def read(places: Places) -> Result:
    """Collect what a run left in its folder."""
    store = Store.open(Settings.load(places.home).database_url)
    text, number = pl.String(), pl.Float64()
    schema = dict.fromkeys(("draft_id", "contract_id", "customer_id", "currency"), text)
    with store.read() as tx:
        decided = tx.frame(
            "SELECT d.draft_id, d.contract_id, d.customer_id, d.currency, d.total_minor, "
            "d.lines_json, e.action, e.anomaly_score, e.priority, e.confidence "
            "FROM drafts d JOIN decisions e "
            "ON e.draft_id = d.draft_id AND e.draft_version = d.version "
            "WHERE d.period = :period AND d.state NOT IN ('superseded', 'lapsed')",
            {
                **schema,
                "total_minor": pl.Int64(),
                **dict.fromkeys(("lines_json", "action"), text),
                **dict.fromkeys(("anomaly_score", "priority"), number),
                "confidence": text,
            },
            {"period": PERIOD.name},
        )
        gaps = tx.frame(
            "SELECT draft_id, priority FROM cases WHERE kind = 'gap'",
            {"draft_id": text, "priority": number},
        )
        outcome = collect.outcome(tx, PERIOD)
        rates = tx.table_frame("exchange_rates")
        segments = tx.table_frame("customers", columns=["customer_id", "segment"])
    store.close()
    files = (load(places.data, frame).frame for frame in (INVOICES, INVOICE_LINES))
    return Result(
        truth=Truth.read(places.truth),
        decided=decided,
        outcome=outcome,
        gaps=gaps,
        books=Books(*files),
        segments=segments,
        euro=euro_rates(rates),
    )


def euro_rates(rates: pl.DataFrame) -> dict[str, float]:
    """What a unit of each currency was worth in euro on the last day of the files."""
    last = rates.filter(pl.col("quote_currency") == "EUR").sort("rate_on")
    newest = last.unique("base_currency", keep="last").select("base_currency", "rate")
    return {"EUR": 1.0, **{base: float(rate) for base, rate in newest.iter_rows()}}


def judged(result: Result) -> Judged:
    """Put truth and outcome of one seed beside each other."""
    truth = result.truth
    euro = pl.col("currency").replace_strict(result.euro, return_dtype=pl.Float64) / 100
    faults = pl.concat(
        answered(faults, result.outcome).with_columns(is_unseen=pl.lit(value=is_unseen))
        for faults, is_unseen in ((truth.seen, False), (truth.unseen, True))
    ).with_columns(loss=pl.min_horizontal("error_minor", "median_minor") * euro)
    rank = pl.col("action").replace_strict({"release": 0, "review": REVIEW, "hold": HOLD})
    is_faulty = pl.col("contract_id").is_in(truth.faults["contract_id"].implode())
    drafts = result.outcome.with_columns(rank=rank, is_faulty=is_faulty)
    strictest = drafts.group_by("contract_id").agg(pl.col("rank").max())
    negatives = truth.negatives.join(strictest, on="contract_id")
    kinds = truth.negatives.sort("kind").unique("contract_id", keep="first")
    clean = (
        result.decided.filter(~is_faulty)
        .join(kinds.select("contract_id", "kind"), on="contract_id", how="left")
        .join(result.segments, on="customer_id", how="left")
        .select("action", "confidence", "currency", "segment", pl.col("kind").fill_null("nothing"))
    )
    return Judged(
        seed=truth.seed,
        faults=faults,
        drafts=drafts,
        negatives=negatives.select("kind", "contract_id", "rank"),
        clean=clean,
        reviewed=reviewed(result, faults.filter(~pl.col("is_unseen"))),
    )


def reviewed(result: Result, faults: pl.DataFrame) -> Reviewed:
    """Money for equal numbers of reviews, against the rules that others publish."""
    drafted = result.decided.select("draft_id", "lines_json")
    heads = result.decided.with_columns(
        invoice_id="draft_id",
        issued_on=pl.lit(PERIOD.end_on),
        due_on=pl.lit(PERIOD.end_on),
    )
    lines = lines_of(drafted).with_columns(invoice_id="draft_id", product="charge_id")
    books = Books(
        pl.concat([result.books.invoices, INVOICES.conform(heads)]),
        pl.concat([result.books.lines, INVOICE_LINES.conform(lines)]),
    )
    is_usage = pl.col("product").is_in(["api", "storage", "documents", "projects"])
    audited = audit(books, is_usage).join(heads.select("invoice_id"), on="invoice_id", how="semi")
    ranked = pl.concat([result.decided.select("draft_id", "priority"), result.gaps])
    queue = ranked.sort("priority", "draft_id", descending=[True, False])["draft_id"].to_list()
    return compare(
        audited,
        dict(faults.select("contract_id", "loss").iter_rows()),
        {"Prebill, by priority": queue},
        dict(result.outcome.select("draft_id", "contract_id").iter_rows()),
    )


# ── Figures ──────────────────────────────────────────────────────────────────────────────────


def money_share(faults: pl.DataFrame, least: int) -> float:
    """Share of the wrong money that was stopped at least so."""
    return float((faults["loss"] * (faults["rank"] >= least)).sum() / faults["loss"].sum())


def money_text(faults: pl.DataFrame, least: int) -> str:
    """The share with its 95 % interval over faults drawn again."""
    loss = faults["loss"].to_numpy()
    caught = loss * (faults["rank"].to_numpy() >= least)
    low, high = bootstrap(np.column_stack([caught, loss]), lambda sums: sums[0] / sums[1])
    return f"{money_share(faults, least):.1%} ({low:.0%} to {high:.0%})"


def share_text(hits: int, of: int) -> str:
    low, high = wilson(hits, of)
    return f"{hits / of:.1%} ({low:.1%} to {high:.1%}) of {of:,}" if of else "–"


def by_seed(seeds: list[Judged]) -> str:
    """A line a seed and one for all: what is asked of holds, and of holds and reviews together."""
    rows = [_seed_row(str(one.seed), [one]) for one in seeds]
    if len(seeds) > 1:
        rows.append(_seed_row("all", seeds))
    header = [
        *("seed", "faulty money held", "held or reviewed", "precision of holds", "of both"),
        *("holds, share of invoices", "reviews", "false holds on hard negatives"),
    ]
    return table(header, rows)


def _seed_row(name: str, seeds: list[Judged]) -> list[str]:
    faults = pl.concat(one.seen for one in seeds)
    drafts = pl.concat(one.drafts for one in seeds)
    negatives = pl.concat(one.negatives.unique("contract_id") for one in seeds)
    invoices = drafts.filter(~pl.col("is_gap")).height
    held, stopped = (drafts.filter(pl.col("rank") >= least) for least in (HOLD, REVIEW))
    return [
        name,
        money_text(faults, HOLD),
        money_text(faults, REVIEW),
        share_text(int(held["is_faulty"].sum()), held.height),
        share_text(int(stopped["is_faulty"].sum()), stopped.height),
        f"{held.height / invoices:.2%}",
        f"{(stopped.height - held.height) / invoices:.2%}",
        share_text(int((negatives["rank"] >= HOLD).sum()), negatives.height),
    ]


def by_family(faults: pl.DataFrame) -> str:
    """Recall of each kind of fault, with its interval, and its share of the money."""
    rows = []
    for family in sorted(faults["family"].unique()):
        own = faults.filter(pl.col("family") == family)
        held = int((own["rank"] >= HOLD).sum())
        stopped = int((own["rank"] >= REVIEW).sum())
        rows.append(
            [
                family,
                share_text(held, own.height),
                share_text(stopped, own.height),
                f"{money_share(own, HOLD):.0%}",
                f"{money_share(own, REVIEW):.0%}",
            ]
        )
    header = ["kind of fault", "held", "held or reviewed", "money held", "money held or reviewed"]
    return table(header, rows)


#: Size of a fault as a share of the true invoice.
_SIZES: Final = (0.01, 0.03, 0.1, 0.3, 1.0)


def by_size(faults: pl.DataFrame) -> str:
    """Recall by how large the fault is."""
    edges = [*_SIZES, float("inf")]
    size = pl.col("error_minor") / pl.col("true_total_minor")
    rows = []
    for low, high in pairwise(edges):
        own = faults.filter(size >= low, size < high)
        held = int((own["rank"] >= HOLD).sum())
        stopped = int((own["rank"] >= REVIEW).sum())
        name = f"{low:.0%} to {high:.0%}" if high < 2 else "the whole invoice"
        rows.append([name, share_text(held, own.height), share_text(stopped, own.height)])
    return table(["wrong share of the invoice", "held", "held or reviewed"], rows)


def by_negative(seeds: list[Judged]) -> str:
    """Right but odd invoices: how many were held and reviewed."""
    every = pl.concat(one.negatives for one in seeds)
    rows = []
    for kind in sorted(every["kind"].unique()):
        own = every.filter(pl.col("kind") == kind)
        held, reviewed = (int((own["rank"] == rank).sum()) for rank in (HOLD, REVIEW))
        rows.append([kind, share_text(held, own.height), share_text(reviewed, own.height)])
    return table(["odd but right", "held", "reviewed"], rows)


def report(seeds: list[Judged]) -> str:
    """All tables; the families that no detector was written for stand apart."""
    seen = pl.concat(one.seen for one in seeds)
    unseen = pl.concat(one.faults.filter("is_unseen") for one in seeds)
    clean = false_hold_rates(pl.concat(one.clean for one in seeds), SEGMENTS, POLICY)
    parts = (
        ("By seed", by_seed(seeds)),
        ("By kind of fault", by_family(seen)),
        ("Kinds of fault that no detector was written for", by_family(unseen)),
        ("By size", by_size(seen)),
        ("Hard negatives", by_negative(seeds)),
        ("False holds by segment", rates_table(clean)),
        ("Against Zuora's published rules", money_table([one.reviewed for one in seeds])),
    )
    return "\n\n".join(f"### {title}\n\n{body}" for title, body in parts)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.demo_company")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--customers", type=int, default=DEFAULT_CUSTOMERS)
    arguments = parser.parse_args()
    seeds = [run(seed, arguments.customers) for seed in arguments.seeds]
    print(f"## Demo company, {arguments.customers:,} customers\n\n{report(seeds)}")


if __name__ == "__main__":
    main()
