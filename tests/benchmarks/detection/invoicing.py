"""Bill simulated usage: daily quantities and terms in, canonical invoices, lines and events out.

A base fee, prorated by days at start, end and change of plan; a unit price a meter; tax a line.
Written apart from Prebill's own billing, so that a mistake there isn't repeated here.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from prebill.core.money import DECIMAL
from prebill.core.schemas.inbound import CUSTOMERS, INVOICE_LINES, INVOICES, USAGE_EVENTS
from tests.benchmarks.detection.series import PriceList, Series

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]

BASE: Final = "base"
SERVICE: Final = "service"
#: Countries with currency, tax code and share of the customers; the issuer sits in the first.
PLACES: Final = (
    ("DE", "EUR", "DE-S", 0.55),
    ("FR", "EUR", "EU-RC", 0.25),
    ("US", "USD", "EXPORT-0", 0.20),
)
TAX_RATES: Final = {
    "DE-S": Decimal(19),
    "DE-R": Decimal(7),
    "EU-RC": Decimal(0),
    "EXPORT-0": Decimal(0),
}
#: List prices of a currency, per thousand of those in euro.
PRICE_LEVEL: Final = {"EUR": 1000, "USD": 1100}
_SECONDS_A_DAY: Final = 86_400


@dataclass(frozen=True)
class Plan:
    """``base_minor`` a full period; ``micro``: meter → price of a unit in millionths."""

    base_minor: int
    micro: dict[str, int]


@dataclass(frozen=True)
class Company:
    """A simulated company; every array has a row a customer.

    ``edges``: days (from ``start_on``) at which periods begin, and the end of the last.
    ``first_day, last_day``: [first, last) of the contract. ``plan``: customer x period, in force at
    the period's start and for its usage; ``next_plan`` at its end, from ``change_day`` of the
    period on. ``permille``: what of the list price a customer pays in a period. ``daily``: meter →
    customer x day. ``records``: meter → events a day. ``service_minor``: one-off work a period.
    """

    start_on: date
    edges: Whole
    place: Whole
    first_day: Whole
    last_day: Whole
    plan: Whole
    next_plan: Whole
    change_day: Whole
    permille: Whole
    daily: dict[str, Whole]
    records: dict[str, Whole]
    service_minor: Whole

    @property
    def customers(self) -> int:
        return len(self.place)


def series_of(
    rng: np.random.Generator,
    company: Company,
    plans: tuple[Plan, ...],
    *,
    name: str,
    held_out_from: date,
    benign: pl.DataFrame,
) -> Series:
    """Bill a company from its first period to its last and deliver its usage events."""
    invoices, lines = bill(company, plans)
    return Series(
        name=name,
        is_simulated=True,
        invoices=invoices,
        lines=lines,
        customers=_customers_frame(company),
        held_out_from=held_out_from,
        tax_rates=TAX_RATES,
        benign=benign,
        events=usage_events(rng, company),
        meters={meter: meter for meter in company.daily},
        price_lists=_price_lists(plans),
    )


def customer_ids(count: int) -> pl.Series:
    return pl.Series([f"C{number:04d}" for number in range(count)])


def _customers_frame(company: Company) -> pl.DataFrame:
    origin = pl.lit(company.start_on)
    frame = pl.DataFrame(
        {
            "customer_id": customer_ids(company.customers),
            "country": [PLACES[place][0] for place in company.place],
            "day": company.first_day,
        }
    )
    return CUSTOMERS.conform(frame.with_columns(signed_up_on=origin + pl.duration(days="day")))


def _price_lists(plans: tuple[Plan, ...]) -> dict[str, PriceList]:
    """What the injector needs to bill somebody by another plan."""
    return {
        currency: tuple(
            {
                BASE: Decimal(plan.base_minor * level // 1000) / 100,
                **{m: Decimal(micro * level // 1000) / 10**6 for m, micro in plan.micro.items()},
            }
            for plan in plans
        )
        for currency, level in PRICE_LEVEL.items()
    }


def bill(company: Company, plans: tuple[Plan, ...]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Invoices and lines of every customer and period in which the contract runs."""
    heads = _heads(company)
    parts = [*_base_lines(company, plans, heads), *_usage_lines(company, plans, heads)]
    parts.append(_service_lines(company, heads))
    key = heads.select("customer", "period", "invoice_id", "tax_code", "percent")
    lines = (
        pl.concat(parts)
        .join(key, on=["customer", "period"])
        .sort("invoice_id", "order")
        .with_columns(
            line_id=pl.int_range(1, pl.len() + 1).over("invoice_id").cast(pl.String),
            tax_minor=(pl.col("amount_minor") * pl.col("percent") + 50) // 100,
        )
    )
    sums = lines.group_by("invoice_id").agg(
        subtotal_minor=pl.col("amount_minor").sum(), tax_minor=pl.col("tax_minor").sum()
    )
    invoices = heads.join(sums, on="invoice_id", maintain_order="left").with_columns(
        total_minor=pl.col("subtotal_minor") + pl.col("tax_minor")
    )
    return INVOICES.conform(invoices), INVOICE_LINES.conform(lines)


def billed_periods(company: Company) -> pl.DataFrame:
    """``customer, period, invoice_id`` of every invoice, in the order of :func:`bill`."""
    return _heads(company).select("customer", "period", "invoice_id")


def _heads(company: Company) -> pl.DataFrame:
    starts, ends = company.edges[:-1], company.edges[1:]
    is_billed = (company.first_day[:, None] < ends) & (company.last_day[:, None] > starts)
    customer, period = np.nonzero(is_billed)
    place = company.place[customer]
    origin = pl.lit(company.start_on)
    codes = [PLACES[one][2] for one in place]
    return pl.DataFrame(
        {
            "customer": customer,
            "period": period,
            "customer_id": customer_ids(company.customers).gather(customer),
            "currency": [PLACES[one][1] for one in place],
            "tax_code": codes,
            "percent": [int(TAX_RATES[code]) for code in codes],
            "from_day": np.maximum(company.first_day[customer], starts[period]),
            "to_day": np.minimum(company.last_day[customer], ends[period]),
            "period_days": ends[period] - starts[period],
            "end_day": ends[period],
        }
    ).with_columns(
        legal_entity=pl.lit("DE01"),
        period_start_on=origin + pl.duration(days="from_day"),
        period_end_on=origin + pl.duration(days="to_day"),
        issued_on=origin + pl.duration(days=pl.col("end_day")),
        due_on=origin + pl.duration(days=pl.col("end_day") + 30),
        payment_terms=pl.lit("net 30"),
        invoice_id=pl.format(
            "{}-{}",
            "customer_id",
            (origin + pl.duration(days=pl.col("end_day"))).dt.strftime("%Y%m%d"),
        ),
    )


def _base_lines(
    company: Company, plans: tuple[Plan, ...], heads: pl.DataFrame
) -> list[pl.DataFrame]:
    """The base fee by days: one line, or one before and one after a change of plan."""
    customer, period = heads["customer"].to_numpy(), heads["period"].to_numpy()
    start = company.edges[period]
    changed = company.plan[customer, period] != company.next_plan[customer, period]
    whole = heads["to_day"].to_numpy()
    middle = np.where(changed, start + company.change_day[customer, period], whole)
    middle = np.clip(middle, heads["from_day"].to_numpy(), whole)
    spans = (
        (company.plan, heads["from_day"].to_numpy(), middle),
        (company.next_plan, middle, whole),
    )
    fees = np.array([plan.base_minor for plan in plans])
    level = np.array([PRICE_LEVEL[currency] for currency in heads["currency"]])
    parts = []
    for order, (plan, from_day, to_day) in enumerate(spans):
        fee = fees[plan[customer, period]] * level // 1000
        fee = fee * company.permille[customer, period] // 1000
        days = heads["period_days"].to_numpy()
        micro = ((to_day - from_day) * 10**6 * 2 + days) // (2 * days)
        frame = pl.DataFrame(
            {
                "customer": customer,
                "period": period,
                "order": np.full(len(customer), order),
                "quantity": _scaled(micro, 10**6),
                "unit_price": _scaled(fee, 100),
                "amount_minor": (micro * fee + 500_000) // 10**6,
            }
        ).with_columns(product=pl.lit(BASE))
        parts.append(frame.filter(pl.Series(to_day > from_day)))
    return parts


def _usage_lines(
    company: Company, plans: tuple[Plan, ...], heads: pl.DataFrame
) -> list[pl.DataFrame]:
    customer, period = heads["customer"].to_numpy(), heads["period"].to_numpy()
    level = np.array([PRICE_LEVEL[currency] for currency in heads["currency"]])
    parts = []
    for order, (meter, daily) in enumerate(company.daily.items(), 2):
        summed = np.add.reduceat(daily, company.edges[:-1], axis=1)
        quantity = summed[customer, period]
        listed = np.array([plan.micro[meter] for plan in plans])
        price = listed[company.plan[customer, period]] * level // 1000
        price = price * company.permille[customer, period] // 1000
        frame = pl.DataFrame(
            {
                "customer": customer,
                "period": period,
                "order": np.full(len(customer), order),
                "quantity": _scaled(quantity, 1),
                "unit_price": _scaled(price, 10**6),
                "amount_minor": (quantity * price + 5_000) // 10_000,
            }
        ).with_columns(product=pl.lit(meter))
        parts.append(frame.filter(pl.Series(company.records[meter][customer] > 0)))
    return parts


def _service_lines(company: Company, heads: pl.DataFrame) -> pl.DataFrame:
    customer, period = heads["customer"].to_numpy(), heads["period"].to_numpy()
    amount = company.service_minor[customer, period]
    frame = pl.DataFrame(
        {
            "customer": customer,
            "period": period,
            "order": np.full(len(customer), 90),
            "quantity": _scaled(np.ones(len(customer), dtype=np.int64), 1),
            "unit_price": _scaled(amount, 100),
            "amount_minor": amount,
        }
    ).with_columns(product=pl.lit(SERVICE))
    return frame.filter(pl.col("amount_minor") > 0)


def _scaled(values: Whole, scale: int) -> pl.Series:
    series = pl.Series(values).cast(DECIMAL)
    return series if scale == 1 else series / pl.Series([scale]).cast(DECIMAL)


def usage_events(rng: np.random.Generator, company: Company) -> pl.DataFrame:
    """Events that sum to the daily quantities: some a day, at times spread over it."""
    parts = [_events_of(rng, company, meter) for meter in company.daily]
    return USAGE_EVENTS.conform(pl.concat(parts))


def _events_of(rng: np.random.Generator, company: Company, meter: str) -> pl.DataFrame:
    customer, day = np.nonzero(company.daily[meter])
    total = company.daily[meter][customer, day]
    count = np.minimum(company.records[meter][customer], total)
    first = np.cumsum(count) - count
    cell = np.repeat(np.arange(len(count)), count)
    ordinal = np.arange(len(cell)) - first[cell]
    weight = rng.uniform(0.5, 1.5, len(cell))
    share = weight / np.add.reduceat(weight, first)[cell]
    # Every record has at least one unit; what rounding leaves goes to the last one.
    quantity = 1 + np.floor((total - count)[cell] * share).astype(np.int64)
    quantity[first + count - 1] += total - np.add.reduceat(quantity, first)
    second = (ordinal + rng.random(len(cell))) * _SECONDS_A_DAY / count[cell]
    origin = pl.lit(company.start_on).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return pl.DataFrame(
        {
            "customer_id": customer_ids(company.customers).gather(customer[cell]),
            "day": day[cell],
            "ordinal": ordinal,
            "second": second.astype(np.int64),
            "quantity": pl.Series(quantity).cast(DECIMAL),
        }
    ).select(
        "customer_id",
        "quantity",
        source=pl.lit(f"{meter}-gateway"),
        meter=pl.lit(meter),
        id=pl.format("{}-{}-{}-{}", pl.lit(meter), "customer_id", "day", "ordinal"),
        occurred_at=origin + pl.duration(days="day", seconds="second"),
        unique_value=pl.lit(None, pl.String),
    )


def month_edges(start_on: date, months: int) -> Whole:
    """Days from the start at which calendar months begin, and the end of the last."""
    edges = [start_on]
    while len(edges) <= months:
        edges.append((edges[-1].replace(day=1) + timedelta(days=32)).replace(day=1))
    return np.array([(edge - start_on).days for edge in edges])
