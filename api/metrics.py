"""Figures for Prometheus: requests and how long they took, runs, pace, queue, and how the store stands."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

MEDIA_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

Figures = Mapping[tuple[str, str], Mapping[tuple[tuple[str, str], ...], float]]
"""Values by (name, sentence), and by their labels."""


class Metrics:
    """The figures of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "meterhouse_http_requests", "Requests answered.", ["method", "route", "status"],
            registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "meterhouse_http_request_seconds", "Time until a request was answered.", ["route"],
            buckets=_BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.viewers = Gauge(
            "meterhouse_live_viewers", "Open WebSockets with live state.", registry=self.registry
        )
        self._counters: dict[tuple[str, str, int], tuple[Any, Any]] = {}

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        key = (method, route, status)
        pair = self._counters.get(key)
        if pair is None:
            counter = self._requests.labels(method, route, str(status))
            pair = self._counters[key] = (counter, self._seconds.labels(route))
        pair[0].inc()
        pair[1].observe(seconds)

    def watch(self, figures: Callable[[], Figures]) -> None:
        """Have more figures worked out whenever somebody looks."""
        self.registry.register(_Watched(figures))

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self.registry)


class _Watched(Collector):
    def __init__(self, figures: Callable[[], Figures]) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        for (name, sentence), values in self._figures().items():
            labels = [label for label, _ in next(iter(values), ())]
            family = GaugeMetricFamily(name, sentence, labels=labels)
            for key, value in values.items():
                family.add_metric([text for _, text in key], value)
            yield family
