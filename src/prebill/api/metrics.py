"""Figures for Prometheus: what waits, in which state, and how good the decisions were."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from prebill.bootstrap import Installation
from prebill.store.alerts import open_counts
from prebill.store.console import operating_figures
from prebill.store.engine import Store

if TYPE_CHECKING:
    from prebill.core.triage.sample import Estimate
    from prebill.store.quality import Quality

#: How long an estimate is kept: it changes by the day, a scrape comes by the minute.
QUALITY_SECONDS: Final = 600.0
_RELEASED: Final = "Share of released drafts that are wrong, from the random sample."
_STOPPED: Final = "Share of wrong drafts that were stopped, from verdicts and the sample."
_FALSE: Final = "Share of right invoices that were held, and what the score limit is set for."
_MEANING: Final = {
    "cases": "Cases by status.",
    "outbox": "Deliveries by status.",
    "runs": "Billing runs by status.",
    "quarantine": "Quarantined rows by status.",
    "drafts": "Draft versions by state.",
}


class StoreCollector(Collector):
    """Reads the figures at each scrape, so that a restart forgets nothing."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def collect(self) -> Iterator[Metric]:
        """One gauge a table, one sample a state; open alerts by severity."""
        with self.store.read() as tx:
            rows = operating_figures(tx)
            alerts = open_counts(tx)
        for name, meaning in _MEANING.items():
            gauge = GaugeMetricFamily(f"prebill_{name}", meaning, labels=["state"])
            for row in rows:
                if row["name"] == name:
                    gauge.add_metric([row["state"]], row["amount"])
            yield gauge
        gauge = GaugeMetricFamily("prebill_alerts", "Open alerts.", labels=["severity"])
        for severity, amount in alerts.items():
            gauge.add_metric([severity], amount)
        yield gauge


@dataclass(eq=False, slots=True)  # a registry keeps collectors by identity
class QualityCollector(Collector):
    """Estimates from the sample and false holds; they read every decision, so they are kept."""

    opened: Installation
    _lock: Lock = field(default_factory=Lock)
    _kept: "tuple[float, Quality] | None" = None

    def quality(self) -> "Quality":
        """Measure, at most once within ``QUALITY_SECONDS``."""
        from prebill.store.quality import quality_of

        with self._lock:
            if self._kept is None or monotonic() - self._kept[0] > QUALITY_SECONDS:
                today, policy = datetime.now(UTC).date(), self.opened.load_policy()
                found = quality_of(self.opened.store, None, policy, today=today)
                self._kept = (monotonic(), found)
            return self._kept[1]

    def collect(self) -> Iterator[Metric]:
        """Value and ends of the 95 % interval; absent while nothing can be said."""
        found = self.quality()
        yield _gauge("prebill_released_error_share", _RELEASED, found.estimates.error_rate)
        yield _gauge("prebill_stopped_error_share", _STOPPED, found.estimates.recall)
        rates = GaugeMetricFamily(
            "prebill_false_hold_share", _FALSE, labels=["segment", "value", "bound"]
        )
        for row in found.false_holds.iter_rows(named=True):
            ends = (("value", "rate"), ("low", "low"), ("high", "high"), ("set_for", "set_for"))
            for bound, name in ends:
                rates.add_metric([row["segment"], row["value"] or "", bound], row[name])
        yield rates


def _gauge(name: str, meaning: str, one: "Estimate | None") -> Metric:
    gauge = GaugeMetricFamily(name, meaning, labels=["bound"])
    if one is not None:
        for bound, amount in (("value", one.value), ("low", one.low), ("high", one.high)):
            gauge.add_metric([bound], amount)
    return gauge


def render_metrics(store: Store, quality: Collector) -> tuple[bytes, str]:
    """Return the exposition text and its media type."""
    registry = CollectorRegistry()
    registry.register(StoreCollector(store))
    registry.register(quality)
    return generate_latest(registry), CONTENT_TYPE_LATEST
