"""Random contracts, drawn from a seed, for the reference test and the properties."""

import random
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

from prebill.core.billing.inputs import BillingInputs
from tests.core.billing import builders
from tests.core.billing.reference import Case, Row

ENTITIES = {"EUR": ("DE1", "DE", Fraction(19)), "GBP": ("GB1", "GB", Fraction(20))}
EXPONENT = {"EUR": 2, "GBP": 2, "JPY": 0, "KWD": 3}
ZONES = ("Europe/Berlin", "Europe/London", "Pacific/Auckland", "America/New_York", "UTC")
METERS = {"m_sum": "sum", "m_count": "count", "m_max": "max", "m_last": "latest", "m_set": "unique"}
PLANS = ("start", "team", "scale")
BOOKS = {"PB-EUR": "EUR", "PB-GBP": "GBP", "PB-JPY": "JPY", "PB-KWD": "KWD"}


def amount(draw: random.Random, most: int, decimals: int) -> str:
    return f"{draw.randrange(most)}.{draw.randrange(10**decimals):0{decimals}d}"


def draw_plan(draw: random.Random, book: str, plan: str) -> tuple[list[Row], list[Row]]:
    charges: list[Row] = []
    tiers: list[Row] = []
    for number in range(draw.randint(2, 6)):
        source = draw.choice(["fixed", "subscribed", "metered", "metered"])
        model = draw.choice(["flat", "per_unit", "graduated", "volume", "package"])
        key = {"price_book_id": book, "plan_id": plan, "charge_id": f"c{number}"}
        charge = {
            **key,
            "name": f"Charge {number}",
            "charge_model": model,
            "quantity_source": source,
            "meter": draw.choice(list(METERS)) if source == "metered" else None,
            "timing": draw.choice(["in_advance", "in_arrears"]),
            "is_prorated": draw.random() < 0.6,
            "unit_price": None if model in {"graduated", "volume"} else amount(draw, 200, 4),
            "package_size": str(draw.randint(1, 40)) if model == "package" else None,
            "included_quantity": draw.choice(["0", "0", "5", "33.5"]),
        }
        charges.append({**builders.DEFAULTS["charges"], **charge})
        if model in {"graduated", "volume"}:
            bounds = sorted(draw.sample(range(1, 300), draw.randint(0, 3)))
            for low, high in zip([0, *bounds], [*bounds, None], strict=True):
                tiers.append(
                    {
                        **key,
                        "from_quantity": str(low),
                        "up_to_quantity": None if high is None else str(high),
                        "unit_price": amount(draw, 9, 5),
                        "flat_fee": draw.choice(["0", "0", "12.34"]),
                    }
                )
    return charges, tiers


def draw_phases(draw: random.Random, book: str) -> list[Row]:
    starts = [date(2026, 1, 1) + timedelta(draw.randrange(250))]
    changes = draw.randint(0, 3)
    starts += [date(2026, 9, 20) + timedelta(draw.randrange(45)) for _ in range(changes)]
    starts = sorted(set(starts))
    phases = []
    for number, (start_on, next_on) in enumerate(zip(starts, [*starts[1:], None], strict=True)):
        phases.append(
            {
                "phase_id": str(number),
                "plan_id": draw.choice(PLANS),
                "price_book_id": book,
                "quantity": str(draw.randint(0, 60)),
                "discount_percent": draw.choice(["0", "0", "10", "12.5", "100"]),
                "discount_ends_on": draw.choice(
                    [None, date(2026, 9, 1), date(2026, 10, 10), date(2026, 10, 25)]
                ),
                "effective_from_on": start_on,
                "effective_to_on": next_on,
            }
        )
    return phases


def draw_events(draw: random.Random, customer_id: str, count: int) -> list[Row]:
    first_at = datetime(2026, 9, 29, tzinfo=UTC)
    return [
        {
            "source": draw.choice(["app", "edge"]),
            "id": f"{customer_id}-{number}",
            "customer_id": customer_id,
            "meter": draw.choice(list(METERS)),
            # Whole hours, so that some events fall on midnight and some on the same instant.
            "occurred_at": first_at + timedelta(hours=draw.randrange(24 * 36)),
            "quantity": amount(draw, 90, 2),
            "unique_value": draw.choice([None, "a", "b", "c", "d"]),
        }
        for number in range(count)
    ]


def draw_world(seed: int, contracts: int) -> tuple[BillingInputs, list[Row], dict[str, Case]]:
    """Return the inputs, all usage events and the case of each subscription."""
    draw = random.Random(seed)
    charges: list[Row] = []
    tiers: list[Row] = []
    for book in BOOKS:
        for plan in PLANS:
            drawn = draw_plan(draw, book, plan)
            charges += drawn[0]
            tiers += drawn[1]
    rows: dict[str, list[Row]] = {"contracts": [], "subscriptions": [], "phases": []}
    customers, usage, cases = [], [], {}
    for number in range(contracts):
        book = draw.choice(list(BOOKS))
        currency = BOOKS[book]
        entity, country, percent = ENTITIES.get(currency, ENTITIES["EUR"])
        names = {"contract_id": f"K{number}", "customer_id": f"C{number}"}
        contract = {
            **names,
            "entity_id": entity,
            "currency": currency,
            "time_zone": draw.choice(ZONES),
            "starts_on": draw.choice([date(2026, 1, 1), date(2026, 10, 12)]),
            "ends_on": draw.choice([None, None, date(2026, 10, 20), date(2027, 1, 1)]),
        }
        subscription = {
            **names,
            "subscription_id": f"S{number}",
            "started_on": draw.choice([date(2026, 1, 1), date(2026, 10, 12), date(2026, 10, 31)]),
            "ended_on": draw.choice([None, None, date(2026, 10, 31)]),
        }
        phases = [{"subscription_id": f"S{number}", **phase} for phase in draw_phases(draw, book)]
        events = draw_events(draw, f"C{number}", draw.randrange(40))
        customers.append({"customer_id": f"C{number}", "country": country})
        rows["contracts"].append(contract)
        rows["subscriptions"].append(subscription)
        rows["phases"] += phases
        usage += events
        cases[f"S{number}"] = Case(
            contract, subscription, phases, charges, tiers, METERS, EXPONENT[currency], percent,
            events,
        )  # fmt: skip
    world = builders.inputs(
        **rows,
        customers=customers,
        charges=charges,
        tiers=tiers,
        entities=[{"entity_id": entity, "country": land} for entity, land, _ in ENTITIES.values()],
        meters=[{"meter": meter, "aggregation": kind} for meter, kind in METERS.items()],
        price_books=[{"price_book_id": b, "currency": c} for b, c in BOOKS.items()],
        plans=[{"price_book_id": b, "plan_id": p} for b in BOOKS for p in PLANS],
    )
    return world, usage, cases
