"""The demo company: reproducible, consistent with billing, and accepted by the contracts."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from prebill.contracts import load_catalog
from prebill.core.billing.contracts import contract_inputs
from prebill.core.billing.invoicing import bill, windows
from prebill.core.billing.metering import meter_usage
from prebill.core.errors import InputError
from prebill.core.schemas import INBOUND
from prebill.demo import generator
from prebill.demo.billing import bill_month, billing_inputs
from prebill.demo.catalogue import EXPORTED_ON, PERIOD
from prebill.demo.faults import UNSEEN, Family
from prebill.demo.truth import SMALLEST_EFFECT_PERCENT, Truth
from prebill.settings import Settings
from tests.demo.conftest import CUSTOMERS, Made

SEEDS = (1, 2)
Maker = Callable[[int], Made]


def digests(directory: Path) -> dict[str, str]:
    files = sorted(directory.iterdir())
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_same_seed_gives_equal_bytes(made: Maker, tmp_path: Path) -> None:
    truth = generator.generate(tmp_path, 1, CUSTOMERS)
    assert digests(made(1).directory) == digests(tmp_path)
    made(1).truth.write(tmp_path / "a.json")
    truth.write(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_another_seed_gives_another_company(made: Maker) -> None:
    first, second = digests(made(1).directory), digests(made(2).directory)
    assert first.keys() == second.keys()
    assert first["usage_events.parquet"] != second["usage_events.parquet"]
    assert first["customers.csv"] != second["customers.csv"]


def test_every_contract_has_its_file(made: Maker) -> None:
    names = {file.stem for file in made(1).directory.iterdir()}
    assert {contract.name for contract in INBOUND} == names


@pytest.mark.parametrize("seed", SEEDS)
def test_families_are_equally_frequent(made: Maker, seed: int) -> None:
    counts = made(seed).truth.faults["family"].value_counts()
    assert {family.value for family in Family} - UNSEEN == set(counts["family"])
    assert counts["count"].n_unique() == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_about_two_percent_of_the_invoices_are_wrong(made: Maker, seed: int) -> None:
    made_company = made(seed)
    inputs = billing_inputs(made_company.company.frames)
    drafts = bill_month(inputs, made_company.company.frames["usage_events"], PERIOD).drafts
    share = made_company.truth.faults.height / drafts.height
    # Eleven families and few customers: one of each is more than 2 % of a small company.
    assert 0.01 <= share <= 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_no_customer_has_two_faults(made: Maker, seed: int) -> None:
    assert made(seed).truth.faults["customer_id"].is_unique().all()


@pytest.mark.parametrize("seed", SEEDS)
def test_truth_is_what_billing_makes_of_the_files(made: Maker, seed: int) -> None:
    it = made(seed)
    true = bill_month(
        billing_inputs(it.company.frames), it.company.frames["usage_events"], PERIOD
    ).drafts
    billed = bill_month(billing_inputs(it.faulty), it.faulty["usage_events"], PERIOD).drafts
    totals = true.group_by("contract_id").agg(true=pl.col("total_minor").sum())
    faulty_totals = billed.group_by("contract_id").agg(billed=pl.col("total_minor").sum())
    both = totals.join(faulty_totals, on="contract_id", how="full", coalesce=True).fill_null(0)
    faults = it.truth.faults.join(both, on="contract_id")
    assert faults["true"].equals(faults["true_total_minor"])
    assert faults["billed"].equals(faults["billed_total_minor"])
    # Contracts without a fault are billed as they should be.
    clean = both.join(it.truth.faults, on="contract_id", how="anti")
    assert clean["true"].equals(clean["billed"])


@pytest.mark.parametrize("seed", SEEDS)
def test_no_fault_without_effect(made: Maker, seed: int) -> None:
    faults = made(seed).truth.faults
    share = faults["error_minor"] * 100 / faults["true_total_minor"]
    assert (share >= SMALLEST_EFFECT_PERCENT).all()
    assert (faults["error_minor"] <= faults["true_total_minor"]).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_true_subscriptions_bill_what_the_contracts_say(made: Maker, seed: int) -> None:
    frames = made(seed).company.frames
    inputs = billing_inputs(frames)
    agreed = contract_inputs(inputs, frames["contract_terms"])
    events = frames["usage_events"].filter(pl.col("occurred_at").dt.date() >= PERIOD.start_on)
    metered = meter_usage(events, inputs.meters, windows(agreed, PERIOD))
    expected = bill(agreed, metered.quantities, PERIOD).drafts
    billed = bill_month(inputs, events, PERIOD)
    columns = ["contract_id", "currency", "subtotal_minor", "tax_minor", "total_minor"]
    assert (
        expected.select(columns)
        .sort("contract_id")
        .equals(billed.drafts.select(columns).sort("contract_id"))
    )
    assert billed.skips.is_empty()
    assert metered.unmatched.is_empty()


@pytest.mark.parametrize("seed", SEEDS)
def test_contracts_accept_every_row(made: Maker, seed: int) -> None:
    catalog = load_catalog(Settings.load().contracts_dir)
    for contract in INBOUND:
        rejected = catalog.compiled(contract.name).check(made(seed).faulty[contract.name]).rejected
        assert rejected.is_empty(), f"{contract.name}: {rejected.head()}"


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_later_than_the_export(made: Maker, seed: int) -> None:
    frames = made(seed).faulty
    assert frames["usage_events"]["occurred_at"].dt.date().max() < PERIOD.end_on
    assert frames["invoices"]["issued_on"].max() <= EXPORTED_ON
    assert frames["payments"]["paid_on"].max() <= EXPORTED_ON
    assert frames["credit_notes"]["issued_on"].max() <= EXPORTED_ON
    for name in ("contracts", "contract_terms", "subscriptions", "subscription_phases"):
        assert frames[name]["recorded_at"].dt.date().max() < PERIOD.end_on


@pytest.mark.parametrize("seed", SEEDS)
def test_history_adds_up(made: Maker, seed: int) -> None:
    frames = made(seed).faulty
    sums = (
        frames["invoice_lines"]
        .group_by("invoice_id")
        .agg(pl.col("amount_minor").sum(), line_tax_minor=pl.col("tax_minor").sum())
    )
    joined = frames["invoices"].join(sums, on="invoice_id", how="left")
    assert joined["subtotal_minor"].equals(joined["amount_minor"], check_names=False)
    assert joined["tax_minor"].equals(joined["line_tax_minor"], check_names=False)
    total = joined["subtotal_minor"] + joined["tax_minor"]
    assert total.equals(joined["total_minor"], check_names=False)


def test_truth_survives_a_round_trip(made: Maker, tmp_path: Path) -> None:
    truth = made(1).truth
    truth.write(tmp_path / "truth.json")
    again = Truth.read(tmp_path / "truth.json")
    assert truth.faults.equals(again.faults)
    assert truth.negatives.equals(again.negatives)
    assert (truth.seed, truth.customers) == (again.seed, again.customers)


@pytest.mark.parametrize("seed", SEEDS)
def test_hard_negatives_of_every_kind_exist_and_are_right(made: Maker, seed: int) -> None:
    truth = made(seed).truth
    kinds = set(truth.negatives["kind"])
    assert {"season", "new_customer", "price_rise_captured"} <= kinds
    assert kinds & {"growth", "spike"}
    assert kinds & {"upgrade_captured", "seats_change_captured"}
    faulty = truth.negatives.join(truth.faults, on="contract_id", how="semi")
    assert faulty.is_empty()


def test_too_few_customers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least"):
        generator.generate(tmp_path, 1, 50)
