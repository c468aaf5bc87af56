"""What a change in the middle of a month does to the lines."""

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prebill.core.billing.proration import PRORATION_POLICIES, register, round_share
from prebill.core.errors import ContractError
from prebill.core.money import DECIMAL
from tests.core.billing import builders
from tests.core.billing.builders import Row

SEATS: Row = {
    "charge_id": "seats",
    "charge_model": "per_unit",
    "quantity_source": "subscribed",
    "unit_price": "10",
}
CALLS: Row = {
    "charge_id": "api",
    "charge_model": "graduated",
    "quantity_source": "metered",
    "meter": "calls",
    "unit_price": None,
    "included_quantity": "310",
}
CHANGE_ON = date(2026, 10, 12)


def lines(**rows: list[Row]) -> pl.DataFrame:
    return builders.billed(builders.inputs(**rows)).lines


def test_contract_signed_on_the_twelfth_pays_twenty_days() -> None:
    line = lines(contracts=[{"starts_on": CHANGE_ON}]).row(0, named=True)
    assert (line["service_start_on"], line["service_end_on"]) == (CHANGE_ON, date(2026, 11, 1))
    assert (line["share_numerator"], line["share_denominator"]) == (20, 31)
    assert line["proration_rule"] == "day_actual"
    assert line["gross_minor"] == 6452  # 100 * 20 / 31 = 64.516...


def test_subscription_that_ends_pays_until_the_day_before() -> None:
    line = lines(subscriptions=[{"ended_on": CHANGE_ON}]).row(0, named=True)
    assert (line["share_numerator"], line["service_end_on"]) == (11, CHANGE_ON)


def test_full_month_is_no_share() -> None:
    line = lines().row(0, named=True)
    assert (line["share_numerator"], line["share_denominator"]) == (1, 1)
    assert line["proration_rule"] is None
    assert line["gross_minor"] == 10_000


def test_upgrade_mid_month_bills_both_plans_by_days() -> None:
    result = lines(
        plans=[{}, {"plan_id": "scale"}],
        charges=[{}, {"plan_id": "scale", "unit_price": "200"}],
        phases=[
            {"effective_to_on": CHANGE_ON},
            {"phase_id": "2", "plan_id": "scale", "effective_from_on": CHANGE_ON},
        ],
    )
    assert result["plan_id"].to_list() == ["team", "scale"]
    # 100 * 11 / 31 and 200 * 20 / 31: the day of the change belongs to the new plan.
    assert result["gross_minor"].to_list() == [3548, 12_903]


def test_seats_added_mid_month_are_paid_from_that_day() -> None:
    result = lines(
        charges=[SEATS],
        phases=[
            {"quantity": "5"},
            {"phase_id": "2", "quantity": "9", "effective_from_on": CHANGE_ON},
        ],
    )
    assert result["quantity"].to_list() == [5, 9]
    assert result["gross_minor"].to_list() == [1774, 5806]


def test_charge_that_is_not_prorated_is_paid_once_in_full() -> None:
    result = lines(
        charges=[{**SEATS, "is_prorated": False}],
        phases=[
            {"quantity": "5"},
            {"phase_id": "2", "quantity": "9", "effective_from_on": CHANGE_ON},
        ],
    )
    assert result["gross_minor"].to_list() == [5000]
    assert result["service_end_on"].to_list() == [date(2026, 11, 1)]


def test_discount_that_ends_mid_month_splits_a_prorated_line() -> None:
    result = lines(phases=[{"discount_percent": "50", "discount_ends_on": CHANGE_ON}])
    assert result["discount_percent"].to_list() == [50, 0]
    assert result["gross_minor"].to_list() == [3548, 6452]
    assert result["discount_minor"].to_list() == [1774, 0]


@pytest.mark.parametrize(
    ("ends_on", "expected"),
    [(date(2026, 10, 1), [0]), (date(2026, 10, 2), [10, 0]), (date(2026, 11, 1), [10])],
)
def test_discount_ends_before_its_end_day(ends_on: date, expected: list[int]) -> None:
    result = lines(phases=[{"discount_percent": "10", "discount_ends_on": ends_on}])
    assert result["discount_percent"].to_list() == expected


def test_metered_line_takes_the_discount_of_its_first_day() -> None:
    result = lines(
        charges=[{**CALLS, "charge_model": "per_unit", "unit_price": "1"}],
        phases=[{"discount_percent": "50", "discount_ends_on": CHANGE_ON}],
    )
    assert result["discount_percent"].to_list() == [50]


def test_included_units_are_shared_by_days_when_metered_in_part() -> None:
    world = builders.inputs(
        charges=[CALLS],
        tiers=[{"charge_id": "api"}],
        contracts=[{"starts_on": CHANGE_ON}],
    )
    usage = builders.events({"quantity": "250"})
    line = builders.billed(world, usage).lines.row(0, named=True)
    # 310 included * 20 / 31 = 200; the amount itself is not shared.
    assert line["quantity"] == 250
    assert line["gross_minor"] == 5000
    assert (line["share_numerator"], line["share_denominator"]) == (20, 31)


def test_included_units_stay_whole_when_the_charge_is_not_prorated() -> None:
    world = builders.inputs(
        charges=[{**CALLS, "is_prorated": False}],
        tiers=[{"charge_id": "api"}],
        contracts=[{"starts_on": CHANGE_ON}],
    )
    assert builders.billed(world, builders.events({"quantity": "250"})).lines["gross_minor"][0] == 0


def test_open_phase_ends_where_the_next_of_its_plan_begins() -> None:
    result = builders.billed(
        builders.inputs(
            charges=[SEATS],
            phases=[
                {"phase_id": "1", "effective_to_on": date(2026, 10, 20)},
                {"phase_id": "2", "effective_from_on": CHANGE_ON},
            ],
        )
    )
    assert result.lines["service_end_on"].to_list() == [CHANGE_ON, date(2026, 11, 1)]
    assert "phases_overlap" in result.findings["code"].to_list()


def test_unknown_policy_is_replaced_and_reported() -> None:
    contract = {"starts_on": CHANGE_ON, "proration_policy": "by_moon"}
    result = builders.billed(builders.inputs(contracts=[contract]))
    assert result.lines["proration_rule"].to_list() == ["day_actual"]
    assert result.findings["code"].to_list() == ["unknown_proration_policy"]


def test_registry_refuses_two_policies_of_one_name() -> None:
    policy = PRORATION_POLICIES["day_actual"]
    with pytest.raises(ContractError, match="one name"):
        register(policy, policy)


@settings(max_examples=200, deadline=None)
@given(
    st.decimals(-(10**9), 10**9, places=12, allow_nan=False),
    st.integers(1, 31),
    st.integers(28, 31),
)
def test_share_is_rounded_half_away_from_zero_exactly(
    amount: Decimal, days: int, period: int
) -> None:
    frame = pl.DataFrame({"amount": pl.Series([amount], dtype=DECIMAL)})
    share = round_share(pl.col("amount"), pl.lit(days), pl.lit(period))
    exact = Fraction(amount) * days / period
    size = (2 * abs(exact) + 1) // 2
    assert frame.select(share).item() == (size if exact >= 0 else -size)


def test_share_just_below_the_half_is_not_lifted() -> None:
    # 31 * 0.5 less 1e-12, over 31, is below a half by a third of 1e-13: a quotient of 12 decimals
    # would be exactly 0.5.
    frame = pl.DataFrame({"amount": builders.decimals("15.499999999999")})
    assert frame.select(round_share(pl.col("amount"), pl.lit(1), pl.lit(31))).item() == 0


@settings(max_examples=80, deadline=None)
@given(
    st.decimals(0, 10**6, places=4, allow_nan=False),
    st.sets(st.integers(1, 30), max_size=6),
)
def test_parts_of_a_month_sum_to_the_month_within_half_a_unit_each(
    price: Decimal, cuts: set[int]
) -> None:
    first = date(2026, 10, 1)
    starts = [0, *sorted(cuts)]
    phases: list[Row] = [
        {"phase_id": f"{start:02d}", "effective_from_on": first + timedelta(start)}
        for start in starts
    ]
    parts = lines(charges=[{"unit_price": str(price)}], phases=phases)
    whole = lines(charges=[{"unit_price": str(price)}])["gross_minor"][0]
    assert parts.height == len(starts)
    # Each part and the whole are rounded once, by half a minor unit at most.
    assert 2 * abs(parts["gross_minor"].sum() - whole) <= parts.height + 1
    exact = sum(map(Fraction, parts["amount_unrounded"]))
    assert abs(exact - Fraction(price)) <= Fraction(parts.height, 2 * 10**12)
