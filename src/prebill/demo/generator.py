"""Make the demo company's files and the truth about them. The same seed gives the same bytes."""

from pathlib import Path
from typing import Final

import polars as pl

from prebill.core.calendar import Period, add_months
from prebill.core.errors import InputError
from prebill.core.schemas import INBOUND
from prebill.demo.agreements import agreement_frames, make_agreements
from prebill.demo.billing import bill_month, billing_inputs
from prebill.demo.catalogue import HISTORY_START_ON, PERIOD, catalogue
from prebill.demo.customers import customer_frames, is_active_throughout, make_traits
from prebill.demo.faults import FAULTS, UNSEEN_FAULTS, Company, Frames, plant, trial
from prebill.demo.history import issue, make_history
from prebill.demo.payments import make_payments
from prebill.demo.truth import FAULT_COLUMNS, Truth, effects, hard_negatives, keep_sized
from prebill.demo.usage import make_usage

FAULTY_SHARE: Final = 0.02
#: How many customers try a family for each one that will have it: some faults change no invoice,
#: and of those that do, the sizes wanted are chosen.
_TRIES: Final = 8
#: Fewer would leave no customer for the scarce families.
SMALLEST_COMPANY: Final = 200
_PARQUET_FROM_ROWS: Final = 50_000


def generate(directory: Path, seed: int, customers: int, *, with_unseen: bool = False) -> Truth:
    """Write the canonical files of a company with known faults.

    Parameters
    ----------
    directory : Path
        Where the files go; created when absent. Large frames become Parquet, small ones CSV.
    seed : int
        Chooses the company.
    customers : int
        Customers over the 18 months, at least 200.
    with_unseen : bool
        Plant the two families that no detector was written for as well.

    Returns
    -------
    Truth
        What is wrong, what only looks so.

    Raises
    ------
    InputError
        Too few customers for every family of faults.
    """
    if customers < SMALLEST_COMPANY:
        message = f"the demo needs at least {SMALLEST_COMPANY} customers, not {customers}"
        raise InputError(message, customers=customers)
    company, jumps = make_company(seed, customers)
    frames, faults = make_faulty(seed, company, jumps, with_unseen=with_unseen)
    faulty_numbers = faults["number"]
    truth = Truth(
        seed=seed,
        customers=customers,
        faults=faults.select(FAULT_COLUMNS).sort("family", "contract_id"),
        negatives=hard_negatives(company.traits, company.agreements, jumps, faulty_numbers),
    )
    write_frames(directory, frames)
    return truth


def make_company(seed: int, customers: int) -> tuple[Company, pl.DataFrame]:
    """Make the company as it truly is, with its history; and the real jumps of this month."""
    traits = make_traits(seed, customers)
    agreements = make_agreements(seed, traits)
    usage = make_usage(seed, traits, agreements)
    frames: Frames = {
        **catalogue(),
        **customer_frames(traits),
        **agreement_frames(agreements),
        "usage_events": usage.events,
    }
    history = make_history(seed, *_past_invoices(frames))
    frames |= {
        "invoices": history.invoices,
        "invoice_lines": history.lines,
        "credit_notes": history.credit_notes,
        "disputes": history.disputes,
        "payments": make_payments(seed, traits, history.invoices, history.credit_notes),
    }
    return Company(traits, agreements, frames), usage.jumps


def _past_invoices(frames: Frames) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Bill each month before the present one and number what comes out."""
    inputs = billing_inputs(frames)
    months = []
    start_on = HISTORY_START_ON
    while start_on < PERIOD.start_on:
        end_on = add_months(start_on, 1)
        months.append(bill_month(inputs, frames["usage_events"], Period(start_on, end_on)))
        start_on = end_on
    return issue(
        pl.concat(month.drafts for month in months), pl.concat(month.lines for month in months)
    )


def make_faulty(
    seed: int, company: Company, jumps: pl.DataFrame, *, with_unseen: bool = False
) -> tuple[Frames, pl.DataFrame]:
    """Plant the faults; return the frames with them and one row a fault (``number`` included).

    A trial with more customers than needed shows which faults change an invoice, and by how much;
    of those, the same number of each family is planted for good. The eleven families are the same
    with and without the unseen ones.
    """
    invoices = int(is_active_throughout(company.traits).sum())
    per_family = max(1, int(invoices * FAULTY_SHARE / len(FAULTS) + 0.5))
    contracts = company.agreements.contracts.unique("number", keep="first", maintain_order=True)
    spared, groups = jumps["number"], []
    for faults in (FAULTS, UNSEEN_FAULTS) if with_unseen else (FAULTS,):
        tried = trial(seed, company, spared, _TRIES * per_family + 2, faults)
        spared = pl.concat([spared, tried["number"]])
        groups.append(
            tried.join(
                contracts.select("number", "contract_id"), on="number", maintain_order="left"
            )
        )
    true_drafts, earlier = _drafts(company.frames), company.frames["invoices"]
    measured = effects(true_drafts, _drafts(plant(seed, company, pl.concat(groups))), earlier)
    kept = pl.concat([keep_sized(seed, tried, measured, per_family) for tried in groups])
    frames = plant(seed, company, kept.select("number", "family"))
    final = effects(true_drafts, _drafts(frames), earlier)
    return frames, kept.join(final, on="contract_id", maintain_order="left")


def _drafts(frames: Frames) -> pl.DataFrame:
    return bill_month(billing_inputs(frames), frames["usage_events"], PERIOD).drafts


def write_frames(directory: Path, frames: Frames) -> None:
    """Write every frame under the name of its contract: Parquet when large, else CSV."""
    directory.mkdir(parents=True, exist_ok=True)
    for contract in INBOUND:
        frame = frames[contract.name]
        frame = contract.conform(frame)
        if frame.height >= _PARQUET_FROM_ROWS:
            frame.write_parquet(directory / f"{contract.name}.parquet", compression="zstd")
        else:
            frame.write_csv(directory / f"{contract.name}.csv")
