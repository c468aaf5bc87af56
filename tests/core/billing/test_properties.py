"""What holds for any contracts: order, company and repetition are irrelevant; sums are exact."""

import random
from dataclasses import fields, replace

import polars as pl
import pytest

from prebill.core.billing.inputs import BillingInputs
from prebill.core.billing.invoicing import Billed, bill
from prebill.core.schemas.internal import DRAFT_LINES, DRAFTS, SKIPS
from tests.core.billing import builders
from tests.core.billing.random_contracts import draw_world

CONTRACTS = 80


def same(one: Billed, other: Billed) -> bool:
    return all(
        getattr(one, field.name).equals(getattr(other, field.name)) for field in fields(Billed)
    )


def shuffled(world: BillingInputs, seed: int) -> BillingInputs:
    frames = {
        field.name: getattr(world, field.name).sample(fraction=1, shuffle=True, seed=seed)
        for field in fields(BillingInputs)
    }
    return replace(world, **frames)


@pytest.mark.parametrize("seed", [11, 12])
def test_order_of_rows_and_events_is_irrelevant(seed: int) -> None:
    world, usage, _ = draw_world(seed, CONTRACTS)
    events = builders.events(*usage)
    turned = shuffled(world, seed)
    expected = builders.billed(world, events)
    found = builders.billed(turned, events.sample(fraction=1, shuffle=True, seed=seed))
    assert same(expected, found)


@pytest.mark.parametrize("seed", [11, 12])
def test_running_twice_gives_equal_versions(seed: int) -> None:
    world, usage, _ = draw_world(seed, CONTRACTS)
    events = builders.events(*usage)
    assert same(builders.billed(world, events), builders.billed(world, events))


def test_one_invoice_alone_prices_like_the_same_one_among_many() -> None:
    world, usage, cases = draw_world(13, CONTRACTS)
    events = builders.events(*usage)
    many = builders.billed(world, events)
    for subscription_id in random.Random(13).sample(sorted(cases), 12):
        is_own = pl.col("subscription_id") == subscription_id
        alone = builders.billed(
            replace(
                world,
                subscriptions=world.subscriptions.filter(is_own),
                phases=world.phases.filter(is_own),
            ),
            events,
        )
        assert many.drafts.filter(is_own).equals(alone.drafts)
        assert many.lines.filter(is_own).equals(alone.lines)


@pytest.mark.parametrize("seed", [14, 15])
def test_two_currencies_never_meet(seed: int) -> None:
    world, usage, _ = draw_world(seed, CONTRACTS)
    result = builders.billed(world, builders.events(*usage))
    books = world.price_books.select("price_book_id", book_currency="currency")
    lines = result.lines.join(books, on="price_book_id").join(
        result.drafts.select("draft_id", "currency"), on="draft_id"
    )
    assert (lines["book_currency"] == lines["currency"]).all()
    per_currency = dict(lines.group_by("currency").agg(pl.col("amount_minor").sum()).iter_rows())
    totals = result.drafts.group_by("currency").agg(pl.col("subtotal_minor").sum())
    assert per_currency == dict(totals.iter_rows())


@pytest.mark.parametrize("seed", [16, 17])
def test_every_charge_in_force_is_drafted_or_skipped(seed: int) -> None:
    world, usage, cases = draw_world(seed, CONTRACTS)
    metered = builders.metered(world, builders.events(*usage))
    # Some quantities are lost on the way: those charges must come back as skips.
    kept = metered.quantities.gather_every(2)
    result = bill(world, kept, builders.OCTOBER)
    done = set(result.lines.select("subscription_id", "charge_id").iter_rows())
    skipped = set(result.skips.select("subscription_id", "charge_id").iter_rows())
    whole = builders.billed(world, builders.events(*usage)).lines
    due = set(whole.select("subscription_id", "charge_id").iter_rows())
    assert due == {pair for pair in done | skipped if pair[1] != "*"}
    assert len(skipped) > len(cases) / 10


def test_metered_quantity_is_the_quantity_on_lines() -> None:
    world, usage, _ = draw_world(18, CONTRACTS)
    metered = builders.metered(world, builders.events(*usage))
    result = bill(world, metered.quantities, builders.OCTOBER)
    on_lines = result.lines.filter(pl.col("meter").is_not_null())
    key = ["subscription_id", "charge_id"]
    left = on_lines.group_by(key).agg(pl.col("quantity").sum()).sort(key)
    right = metered.quantities.group_by(key).agg(pl.col("quantity").sum()).sort(key)
    assert left.equals(right)


def test_keys_are_unique() -> None:
    world, usage, _ = draw_world(19, CONTRACTS)
    result = builders.billed(world, builders.events(*usage))
    for frame, found in (
        (DRAFTS, result.drafts),
        (DRAFT_LINES, result.lines),
        (SKIPS, result.skips),
    ):
        assert found.select(frame.key).is_unique().all(), frame.name
