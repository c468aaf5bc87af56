"""Bill the demo company with the engine itself, so that history and truth are exact."""

import polars as pl

from prebill.core.billing.inputs import BillingInputs
from prebill.core.billing.invoicing import Billed, bill, windows
from prebill.core.billing.metering import meter_usage
from prebill.core.billing.tax_rates import bundled_tax_rates
from prebill.core.calendar import Period, start_of_day_at
from prebill.demo.catalogue import ENTITIES
from prebill.demo.faults import Frames


def billing_inputs(frames: Frames) -> BillingInputs:
    """Hand the canonical frames to billing."""
    return BillingInputs(
        entities=frames["legal_entities"],
        customers=frames["customers"],
        meters=frames["meters"],
        price_books=frames["price_books"],
        plans=frames["plans"],
        charges=frames["charges"],
        tiers=frames["tiers"],
        contracts=frames["contracts"],
        subscriptions=frames["subscriptions"],
        phases=frames["subscription_phases"],
        tax_rates=bundled_tax_rates(),
    )


def bill_month(inputs: BillingInputs, events: pl.DataFrame, period: Period) -> Billed:
    """Meter and bill one month; of ``events`` only those near the month are read."""
    zones = [entity.time_zone for entity in ENTITIES]
    first_at = min(start_of_day_at(period.start_on, zone) for zone in zones)
    last_at = max(start_of_day_at(period.end_on, zone) for zone in zones)
    near = events.filter((pl.col("occurred_at") >= first_at) & (pl.col("occurred_at") < last_at))
    metered = meter_usage(near, inputs.meters, windows(inputs, period))
    return bill(inputs, metered.quantities, period)
