"""Every metric: name, kind, labels, meaning."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.registry import Collector

from docs.reference.markdown import code, sentence, table
from transcriber.observability.metrics import Metrics
from transcriber.webhooks.metrics import WebhookMetrics

HEADS = ("name", "kind", "labels", "meaning")


def of_server() -> str:
    """The table of those at /metrics."""
    return _table(Metrics().registry)


def of_webhook() -> str:
    """The table of those of `transcriber webhook --metrics-port`."""
    return _table(WebhookMetrics().registry)


def _table(registry: CollectorRegistry) -> str:
    return table(HEADS, (row for collector in _collectors(registry) for row in _rows(collector)))


def _collectors(registry: CollectorRegistry) -> list[Collector]:
    """In the order in which they are declared: what belongs together stands together."""
    return list(registry._collector_to_names)


def _rows(collector: Collector) -> list[tuple[str, str, str, str]]:
    if not isinstance(collector, Counter | Gauge | Histogram):
        return []
    labels = ", ".join(map(code, collector._labelnames))
    name = collector._name + ("_total" if isinstance(collector, Counter) else "")
    return [(code(name), collector._type, labels, sentence(collector._documentation))]
