"""The webhook sender's Prometheus metrics, in a registry of their own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics

PREFIX = "transcriber_webhook"
DELAYS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600)
OUTCOMES = ("delivered", "refused", "exhausted")
disable_created_metrics()  # type: ignore[no-untyped-call]  # as in transcriber.observability.metrics


class WebhookMetrics:
    """Every metric by its name without `transcriber_webhook_` and `_total`."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.events = Counter("events", "Events settled, by outcome", ["outcome"], namespace=PREFIX, registry=registry)
        for outcome in OUTCOMES:
            self.events.labels(outcome)
        self.attempts = Counter(
            "attempts", "Requests, by HTTP status or kind of failure", ["status"], namespace=PREFIX, registry=registry
        )
        self.delay_seconds = Histogram(
            "delay_seconds",
            "From an event's moment to the receiver's 2xx",
            buckets=DELAYS_S,
            namespace=PREFIX,
            registry=registry,
        )
        self.calls_held = Gauge(
            "calls_held", "Calls this sender is sending events of", namespace=PREFIX, registry=registry
        )
        self.dead_letters = Gauge("dead_letters", "Events given up and kept", namespace=PREFIX, registry=registry)

    def count(self, outcome: str) -> int:
        """How many events ended so; one of OUTCOMES."""
        return int(self.registry.get_sample_value(f"{PREFIX}_events_total", {"outcome": outcome}) or 0)
