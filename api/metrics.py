"""Figures for Prometheus: requests and how long they took, runs, pace, queue, and how the store stands."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

MEDIA_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

Figures = Mapping[tuple[str, str], Mapping[tuple[tuple[str, str], ...], float]]
"""Values by (name, sentence), and by their labels."""


class Metrics:
    """The figures of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = _Requests()
        self.registry.register(self._requests)
        self.viewers = Gauge(
            "meterhouse_live_viewers", "Open WebSockets with live state.", registry=self.registry
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.add(method, route, status, seconds)

    def watch(self, figures: Callable[[], Figures]) -> None:
        """Have more figures worked out whenever somebody looks."""
        self.registry.register(_Watched(figures))

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self.registry)


class _Requests(Collector):
    """Requests and their times. Only the event loop counts, so that nothing has to be locked."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, int], int] = {}
        self._buckets: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        key = (method, route, status)
        self._counts[key] = self._counts.get(key, 0) + 1
        buckets = self._buckets.get(route)
        if buckets is None:
            buckets = self._buckets[route] = [0] * (len(_BUCKETS) + 1)
            self._sums[route] = 0.0
        buckets[bisect_left(_BUCKETS, seconds)] += 1
        self._sums[route] += seconds

    def collect(self) -> Iterable[Metric]:
        requests = CounterMetricFamily(
            "meterhouse_http_requests", "Requests answered.", labels=["method", "route", "status"]
        )
        for (method, route, status), count in self._counts.items():
            requests.add_metric([method, route, str(status)], count)
        yield requests
        times = HistogramMetricFamily(
            "meterhouse_http_request_seconds", "Time until a request was answered.", labels=["route"]
        )
        ends = [*map(floatToGoString, _BUCKETS), "+Inf"]
        for route, buckets in self._buckets.items():
            times.add_metric([route], list(zip(ends, accumulate(buckets), strict=True)), self._sums[route])
        yield times


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
