"""Metrics as Prometheus reads them; imported when they are first asked for, because its library has a weight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from edgeagent.durations import Durations
from edgeagent.publish.observe.metrics import Reading

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Readings:
    """Readings as a collector."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        """Give each metric with its samples."""
        for reading in self._readings:
            yield family(reading)


def family(reading: Reading) -> Metric:
    """One metric as the library has it."""
    metric, samples = reading
    if metric.kind == "info":
        info = InfoMetricFamily(metric.name, metric.text)
        for labels, _ in samples:
            info.add_metric((), dict(zip(metric.labels, labels, strict=True)))
        return info
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.text, labels=metric.labels)
        for labels, value in samples:
            assert isinstance(value, Durations)
            histogram.add_metric(labels, value.buckets(), value.sum_ns / 1e9)
        return histogram
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    plain = kind(metric.name, metric.text, labels=metric.labels)
    for labels, value in samples:
        assert not isinstance(value, Durations)
        plain.add_metric(labels, value)
    return plain


def text(readings: Sequence[Reading]) -> bytes:
    """Write readings, and what the operating system knows of this process; from any thread."""
    registry = CollectorRegistry()
    registry.register(_Readings(readings))
    ProcessCollector(registry=registry)
    return generate_latest(registry)
