"""Figures for Prometheus: what waits, in which state, read from the tables when asked."""

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from prebill.store.console import operating_figures
from prebill.store.engine import Store

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
        """One gauge a table, one sample a state."""
        with self.store.read() as tx:
            rows = operating_figures(tx)
        for name, meaning in _MEANING.items():
            gauge = GaugeMetricFamily(f"prebill_{name}", meaning, labels=["state"])
            for row in rows:
                if row["name"] == name:
                    gauge.add_metric([row["state"]], row["amount"])
            yield gauge


def render_metrics(store: Store) -> tuple[bytes, str]:
    """Return the exposition text and its media type."""
    registry = CollectorRegistry()
    registry.register(StoreCollector(store))
    return generate_latest(registry), CONTENT_TYPE_LATEST
