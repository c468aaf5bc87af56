"""Windows, deduplication, metering and usage days."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prebill.core.billing.contracts import contract_inputs
from prebill.core.billing.dedupe import conflict_findings
from prebill.core.billing.invoicing import windows
from prebill.core.billing.metering import dedupe, meter_usage, usage_days
from tests.core.billing import builders
from tests.core.billing.builders import OCTOBER, Row

METERED: Row = {
    "charge_id": "api",
    "charge_model": "per_unit",
    "quantity_source": "metered",
    "meter": "calls",
    "is_prorated": False,
    "unit_price": "0.5",
}


def world(**rows: list[Row]) -> builders.BillingInputs:
    return builders.inputs(**{"charges": [METERED], **rows})


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


class TestWindows:
    def test_bounds_are_midnights_of_the_contract_s_zone(self) -> None:
        row = windows(world(), OCTOBER).row(0, named=True)
        # Berlin leaves summer time on 25 October: the window is an hour longer than 31 days.
        assert at(2026, 9, 30, 22) == row["window_start_at"]
        assert at(2026, 10, 31, 23) == row["window_end_at"]

    def test_day_that_begins_at_one_o_clock_begins_with_its_first_instant(self) -> None:
        # In Cairo the clock goes from 23:59:59 to 01:00:00 on the last Friday of April.
        contract = {"time_zone": "Africa/Cairo", "starts_on": date(2026, 4, 24)}
        month = builders.month_period("2026-04")
        found = windows(world(contracts=[contract]), month)
        assert [at(2026, 4, 23, 22)] == found["window_start_at"].to_list()

    def test_change_of_plan_starts_a_new_window(self) -> None:
        found = windows(
            world(
                plans=[{"plan_id": "team"}, {"plan_id": "scale"}],
                charges=[METERED, {**METERED, "plan_id": "scale"}],
                phases=[
                    {"phase_id": "1", "effective_to_on": date(2026, 10, 12)},
                    {
                        "phase_id": "2",
                        "plan_id": "scale",
                        "effective_from_on": date(2026, 10, 12),
                    },
                ],
            ),
            OCTOBER,
        ).sort("window_start_on")
        assert [date(2026, 10, 1), date(2026, 10, 12)] == found["window_start_on"].to_list()
        assert [date(2026, 10, 12), date(2026, 11, 1)] == found["window_end_on"].to_list()

    def test_change_of_seats_keeps_one_window(self) -> None:
        phases = [
            {"phase_id": "1", "quantity": "5"},
            {"phase_id": "2", "quantity": "9", "effective_from_on": date(2026, 10, 12)},
        ]
        assert windows(world(phases=phases), OCTOBER).height == 1


class TestMeterUsage:
    def test_events_on_the_bounds(self) -> None:
        usage = builders.events(
            {"occurred_at": at(2026, 9, 30, 21, 59), "quantity": "1"},
            {"occurred_at": at(2026, 9, 30, 22), "quantity": "10"},
            {"occurred_at": at(2026, 10, 31, 22, 59), "quantity": "100"},
            {"occurred_at": at(2026, 10, 31, 23), "quantity": "1000"},
        )
        done = builders.metered(world(), usage)
        assert [Decimal(110)] == done.quantities["quantity"].to_list()
        assert done.unmatched["reason"].to_list() == ["before_window", "after_window"]
        assert done.metered_events == 2

    def test_silence_is_a_quantity_of_zero(self) -> None:
        done = builders.metered(world())
        assert [Decimal(0)] == done.quantities["quantity"].to_list()
        assert done.quantities["events"].to_list() == [0]

    def test_unmatched_events_say_why(self) -> None:
        usage = builders.events({"meter": "unheard"}, {"customer_id": "nobody"}, {"meter": "calls"})
        done = builders.metered(world(), usage)
        assert dict(done.unmatched.select("id", "reason").iter_rows()) == {
            "e0": "unknown_meter",
            "e1": "no_charge",
        }
        assert done.metered_events + done.unmatched.height == usage.height

    def test_event_between_two_windows_is_reported(self) -> None:
        phases = [
            {"phase_id": "1", "effective_to_on": date(2026, 10, 10)},
            {"phase_id": "2", "effective_from_on": date(2026, 10, 20)},
        ]
        usage = builders.events({"occurred_at": at(2026, 10, 15)})
        done = builders.metered(world(phases=phases), usage)
        assert done.unmatched["reason"].to_list() == ["between_windows"]

    def test_usage_is_split_between_windows(self) -> None:
        phases = [
            {"phase_id": "1", "effective_to_on": date(2026, 10, 12)},
            {"phase_id": "2", "effective_from_on": date(2026, 10, 12), "discount_percent": "5"},
        ]
        usage = builders.events(
            {"occurred_at": at(2026, 10, 11, 21, 59), "quantity": "3"},
            {"occurred_at": at(2026, 10, 11, 22), "quantity": "4"},
        )
        done = builders.metered(world(phases=phases), usage)
        assert [Decimal(3), Decimal(4)] == done.quantities["quantity"].to_list()
        assert done.metered_events == 2

    def test_contract_and_subscription_share_one_pass(self) -> None:
        own = world()
        terms = builders.table("contract_terms", {})
        both = pl.concat([windows(own, OCTOBER), windows(contract_inputs(own, terms), OCTOBER)])
        done = meter_usage(builders.events({"quantity": "7"}), own.meters, both)
        assert {"S1": Decimal(7), "K1": Decimal(7)} == dict(
            done.quantities.select("subscription_id", "quantity").iter_rows()
        )
        assert done.metered_events == 1

    def test_no_events_and_no_windows(self) -> None:
        own = world()
        done = meter_usage(builders.events(), own.meters, windows(own, OCTOBER).clear())
        assert done.quantities.is_empty()
        assert done.unmatched.is_empty()


class TestDedupe:
    def test_equal_content_is_dropped_and_counted(self) -> None:
        usage = builders.events({"id": "a"}, {"id": "a"}, {"id": "a"}, {"id": "b"})
        done = dedupe(usage)
        assert done.events["id"].sort().to_list() == ["a", "b"]
        assert done.duplicates == 2
        assert done.conflicts.is_empty()

    def test_other_content_is_a_conflict(self) -> None:
        usage = builders.events({"id": "a", "quantity": "2"}, {"id": "a", "quantity": "1"})
        done = dedupe(usage)
        assert [Decimal(1)] == done.events["quantity"].to_list()
        assert [Decimal(2)] == done.conflicts["quantity"].to_list()

    def test_a_conflict_is_told_on_the_drafts_that_bill_either_content(self) -> None:
        usage = builders.events(
            {"id": "a", "customer_id": "c1", "quantity": "2"},
            {"id": "a", "customer_id": "c1", "quantity": "1"},
            {"id": "b", "customer_id": "c2", "occurred_at": datetime(2026, 10, 25, tzinfo=UTC)},
            {"id": "b", "customer_id": "c1"},
            {"id": "c", "customer_id": "c3"},
        )
        customers = usage["customer_id"].unique().sort().to_list()
        drafts = pl.DataFrame({"draft_id": customers, "customer_id": customers})
        lines = drafts.select(
            "draft_id", line_id=pl.lit("1"), meter=pl.lit(usage["meter"][0], dtype=pl.String)
        )
        found = conflict_findings(dedupe(usage), drafts, lines)
        assert found["invoice_id"].to_list() == ["c1", "c2"]
        source = usage["source"][0]
        assert found["evidence"].to_list() == [f"{source}/a,{source}/b", f"{source}/b"]
        assert found["text"][0].startswith("2 usage events came again with the same id")
        assert found["line_ids"].to_list() == ["1", "1"]
        other_meter = lines.with_columns(meter=pl.lit("none"))
        assert conflict_findings(dedupe(usage), drafts, other_meter).is_empty()

    def test_one_id_in_two_sources_is_two_events(self) -> None:
        usage = builders.events({"id": "a"}, {"id": "a", "source": "edge"})
        assert dedupe(usage).events.height == 2

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.integers(1, 2))))
    def test_every_event_is_kept_dropped_or_in_conflict(
        self, drawn: list[tuple[str, int, int]]
    ) -> None:
        rows = [{"source": s, "id": str(i), "quantity": str(q)} for s, i, q in drawn]
        usage = builders.table("usage_events", *rows)
        done, turned = dedupe(usage), dedupe(usage.reverse())
        assert usage.height == done.events.height + done.duplicates + done.conflicts.height
        assert done.events.select("source", "id").is_unique().all()
        key = ["source", "id", "quantity"]
        assert done.events.sort(key).equals(turned.events.sort(key))


class TestUsageDays:
    def test_days_are_utc_days_and_repeats_are_counted(self) -> None:
        usage = builders.events(
            {"id": "a", "occurred_at": at(2026, 10, 5, 23, 59), "quantity": "4"},
            {"id": "b", "occurred_at": at(2026, 10, 5, 23, 59), "quantity": "4"},
            {"id": "c", "occurred_at": at(2026, 10, 5, 23, 59), "quantity": "9"},
            {"id": "d", "occurred_at": at(2026, 10, 6), "quantity": "4"},
        )
        found = usage_days(usage)
        assert [date(2026, 10, 5), date(2026, 10, 6)] == found["used_on"].to_list()
        first = found.row(0, named=True)
        assert (first["events"], first["repeated_events"]) == (3, 1)
        assert (first["quantity"], first["repeated_quantity"]) == (17, 4)
        assert first["largest_quantity"] == 9

    def test_of_a_repeat_the_smallest_source_is_the_original(self) -> None:
        usage = builders.events({"source": "edge"}, {"source": "app"})
        found = usage_days(usage).sort("source")
        assert found["source"].to_list() == ["app", "edge"]
        assert found["repeated_events"].to_list() == [0, 1]

    def test_no_events(self) -> None:
        assert usage_days(builders.events()).is_empty()

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(
            st.tuples(st.sampled_from("ABC"), st.sampled_from("xy"), st.integers(0, 50)),
            min_size=1,
            max_size=40,
        )
    )
    def test_days_sum_to_the_events(self, drawn: list[tuple[str, str, int]]) -> None:
        rows: list[Row] = [
            {"customer_id": c, "meter": m, "occurred_at": at(2026, 10, 1) + timedelta(hours=h)}
            for c, m, h in drawn
        ]
        usage = builders.events(*rows)
        found = usage_days(usage)
        expected = (
            usage.group_by(
                "customer_id", "meter", "source", used_on=pl.col("occurred_at").dt.date()
            )
            .agg(events=pl.len().cast(pl.Int64))
            .sort("customer_id", "meter", "source", "used_on")
        )
        assert expected.equals(found.select(expected.columns))
        assert found.equals(usage_days(usage.reverse()))


@pytest.mark.parametrize("kind", ["sum", "count", "max", "latest", "unique"])
def test_order_of_events_is_irrelevant(kind: str) -> None:
    own = world(meters=[{"aggregation": kind}])
    hour = timedelta(hours=5)
    rows: list[Row] = [
        {
            "occurred_at": at(2026, 10, 2) + hour * (n % 7),
            "quantity": str(n),
            "unique_value": str(n % 4),
        }
        for n in range(30)
    ]
    usage = builders.events(*rows)
    one = builders.metered(own, usage).quantities
    assert one.equals(builders.metered(own, usage.reverse()).quantities)
