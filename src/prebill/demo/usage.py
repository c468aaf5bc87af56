"""Usage of the demo company: daily events with season, weekdays, growth, noise and real jumps.

Made meter by meter as matrices of customers by days; the result is one frame of events.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from prebill.core.money import DECIMAL
from prebill.demo.agreements import Agreements
from prebill.demo.catalogue import CHARGES, HISTORY_START_ON, PERIOD
from prebill.demo.customers import is_active_throughout
from prebill.demo.randomness import stream

Floats = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]
Whole = npt.NDArray[np.int64]

DAYS: Final = (PERIOD.end_on - HISTORY_START_ON).days
FIRST_DAY_OF_PERIOD: Final = (PERIOD.start_on - HISTORY_START_ON).days

#: Factors from Monday to Sunday: offices, consumers, machines.
_WEEKS: Final = np.array(
    [
        [1.15, 1.2, 1.2, 1.15, 1.05, 0.10, 0.06],
        [0.9, 0.9, 0.95, 1.0, 1.1, 1.2, 1.1],
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
    ]
)
_SOURCES: Final = {
    "api_calls": "gateway",
    "storage_gb": "storage",
    "documents": "signing",
    "projects": "workspace",
}
#: Real events of the present month that a careless judge takes for faults; share of customers.
_GROWTH_SHARE: Final = 0.012
_SPIKE_SHARE: Final = 0.012
_QUIET_SHARE: Final = 0.006


@dataclass(frozen=True, slots=True)
class Usage:
    """``events``: canonical usage events; ``jumps``: customer ``number`` and kind of real jump."""

    events: pl.DataFrame
    jumps: pl.DataFrame


def make_usage(seed: int, traits: pl.DataFrame, agreements: Agreements) -> Usage:
    """Draw every usage event of the 18 months, for the meters that each plan measures."""
    rng = stream(seed, "usage")
    activity, jumps = _activity(rng, traits)
    noise = traits["noise"].to_numpy()[:, None]
    parts = []
    for meter, unit in (("api_calls", 1), ("storage_gb", 100), ("projects", 1)):
        level = traits[f"{meter.split('_')[0].rstrip('s')}_level"].to_numpy()[:, None]
        scatter = np.exp(noise * rng.standard_normal(activity.shape))
        if meter == "api_calls":
            values = level * activity * scatter
        else:
            values = level * _slow(rng, traits, noise)
        whole = np.rint(values * unit).astype(np.int64)
        parts.append(_events(rng, meter, whole * _is_metered(traits, agreements, meter), unit))
    level = traits["document_level"].to_numpy()[:, None]
    counts = rng.poisson(level * activity) * _is_metered(traits, agreements, "documents")
    parts.append(_counted(rng, counts))
    events = pl.concat(parts).join(traits.select("number", "customer_id", "entity"), on="number")
    return Usage(_canonical(events), jumps)


def _activity(rng: np.random.Generator, traits: pl.DataFrame) -> tuple[Floats, pl.DataFrame]:
    """Return the factor of each customer and day on the usual level, and the planted jumps."""
    count = traits.height
    days = np.arange(DAYS)
    start_weekday = HISTORY_START_ON.weekday()
    week = _WEEKS[traits["weekly_pattern"].to_numpy()][:, (days + start_weekday) % 7]
    year_day = (days + HISTORY_START_ON.timetuple().tm_yday) % 365
    peak = traits["season_peak_day"].to_numpy()[:, None]
    wave = np.cos(2 * np.pi * (year_day[None, :] - peak) / 365.0)
    factor = week * np.exp(traits["season"].to_numpy()[:, None] * wave)
    factor *= np.exp(traits["growth"].to_numpy()[:, None] * (days / 365.0 - 0.75))
    factor *= _holidays(days)
    steps = _step_matrix(rng, count)
    settled = is_active_throughout(traits).to_numpy()
    kinds = np.full(count, "", dtype="<U8")
    draw = np.where(settled, rng.random(count), 1.0)
    kinds[draw < _GROWTH_SHARE + _SPIKE_SHARE + _QUIET_SHARE] = "quiet"
    kinds[draw < _GROWTH_SHARE + _SPIKE_SHARE] = "spike"
    kinds[draw < _GROWTH_SHARE] = "growth"
    first = FIRST_DAY_OF_PERIOD + rng.integers(0, 15, count)
    grown = (days >= first[:, None]) & (kinds == "growth")[:, None]
    steps += np.where(grown, rng.uniform(0.35, 0.8, count)[:, None], 0.0)
    factor *= np.exp(steps)
    spikes = _spike_matrix(rng, count)
    spikes |= (kinds == "spike")[:, None] & _stretch(days, first, rng.integers(1, 4, count))
    factor *= np.where(spikes, rng.uniform(3.0, 6.0, (count, 1)), 1.0)
    quiet = _stretch(days, first, rng.integers(5, 9, count)) & (kinds == "quiet")[:, None]
    factor *= np.where(quiet, 0.25, 1.0)
    jumps = pl.DataFrame({"number": np.arange(count), "kind": kinds}).filter(pl.col("kind") != "")
    return factor, jumps


def _stretch(days: Whole, first: Whole, length: Whole) -> Truths:
    inside: Truths = (days >= first[:, None]) & (days < (first + length)[:, None])
    return inside


def _holidays(days: Whole) -> Floats:
    """Quiet days at the turn of the year and a slack August, for everybody."""
    dates = [HISTORY_START_ON + timedelta(days=int(day)) for day in days]
    factors = [
        0.35
        if (day.month, day.day) >= (12, 24) or (day.month, day.day) == (1, 1)
        else 0.9
        if day.month == 8
        else 1.0
        for day in dates
    ]
    return np.array(factors)


def _step_matrix(rng: np.random.Generator, count: int) -> Floats:
    """Lasting log steps on some day for a quarter of the customers, most of them up."""
    has_step = rng.random(count) < 0.25
    day = rng.integers(30, DAYS, count)
    height = np.where(has_step, rng.normal(0.2, 0.3, count), 0.0)
    return np.where(np.arange(DAYS) >= day[:, None], height[:, None], 0.0)


def _spike_matrix(rng: np.random.Generator, count: int) -> Truths:
    """Days of unusually high, real usage: about one short spell a customer in six years."""
    begins = rng.random((count, DAYS)) < 0.0005
    spikes = begins.copy()
    spikes[:, 1:] |= begins[:, :-1]
    return spikes


def _slow(rng: np.random.Generator, traits: pl.DataFrame, noise: Floats) -> Floats:
    """A gauge that drifts: log random walk with the customer's growth."""
    count = traits.height
    walk = np.cumsum(rng.standard_normal((count, DAYS)) * 0.01, axis=1)
    growth = traits["growth"].to_numpy()[:, None] * (np.arange(DAYS) / 365.0)
    jitter = noise * 0.1 * rng.standard_normal((count, DAYS))
    slow: Floats = np.exp(walk + growth + jitter)
    return slow


def _is_metered(traits: pl.DataFrame, agreements: Agreements, meter: str) -> Truths:
    """Tell on which days a customer's plan measures the meter."""
    plans = [p for p, charges in CHARGES.items() if any(c.meter == meter for c in charges)]
    origin = pl.lit(HISTORY_START_ON)
    spans = agreements.spans.filter(pl.col("plan_id").is_in(plans)).select(
        "number",
        first=(pl.col("effective_from_on") - origin).dt.total_days().clip(0, DAYS),
        last=(pl.coalesce("effective_to_on", pl.lit(PERIOD.end_on)) - origin)
        .dt.total_days()
        .clip(0, DAYS),
    )
    edges = np.zeros((traits.height, DAYS + 1), dtype=np.int64)
    np.add.at(edges, (spans["number"].to_numpy(), spans["first"].to_numpy()), 1)
    np.add.at(edges, (spans["number"].to_numpy(), spans["last"].to_numpy()), -1)
    inside: Truths = edges.cumsum(axis=1)[:, :DAYS] > 0
    return inside


def _events(rng: np.random.Generator, meter: str, whole: Whole, unit: int) -> pl.DataFrame:
    """Make one event of each day on which there is usage."""
    number, day = np.nonzero(whole)
    return pl.DataFrame(
        {
            "number": number,
            "day": day,
            "ordinal": np.ones(len(number), dtype=np.int64),
            "second": rng.integers(0, 3_600, len(number)) + 15 * 3_600,
            "quantity": pl.Series(whole[number, day]).cast(DECIMAL),
        }
    ).with_columns(quantity=pl.col("quantity") / pl.lit(unit).cast(DECIMAL), meter=pl.lit(meter))


def _counted(rng: np.random.Generator, counts: Whole) -> pl.DataFrame:
    """Make as many events of quantity one as were counted, spread over the working day."""
    number, day = np.nonzero(counts)
    times = counts[number, day]
    total = int(times.sum())
    ordinal = np.arange(total) - np.repeat(np.cumsum(times) - times, times) + 1
    return pl.DataFrame(
        {
            "number": np.repeat(number, times),
            "day": np.repeat(day, times),
            "ordinal": ordinal,
            "second": rng.integers(0, 9 * 3_600, total) + 9 * 3_600,
            "quantity": pl.Series(np.ones(total, dtype=np.int64)).cast(DECIMAL),
        }
    ).with_columns(meter=pl.lit("documents"))


def _canonical(events: pl.DataFrame) -> pl.DataFrame:
    """Give events their ids, sources and instants; every time lies within the local day."""
    day = pl.lit(HISTORY_START_ON) + pl.duration(days="day")
    midnight = day.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return events.sort("meter", "day", "number", "ordinal").select(
        source=pl.format("{}.lumen.example", pl.col("meter").replace_strict(_SOURCES)),
        id=pl.format(
            "b{}-{}-{}",
            day.dt.strftime("%Y%m%d"),
            pl.col("customer_id"),
            pl.col("ordinal"),
        ),
        customer_id="customer_id",
        meter="meter",
        occurred_at=midnight + pl.duration(seconds="second"),
        quantity="quantity",
        unique_value=pl.lit(None, pl.String),
    )
