"""The server's counters, which /metrics gives as Prometheus reads them."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from records import Usage

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, with the time of its first use
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)


class Metrics:
    """Counts requests, verdicts and what they cost, from the server's start."""

    def __init__(self) -> None:
        self._registry = of = CollectorRegistry()
        self.requests = Counter("judgeloop_requests", "Requests answered", ["path", "status"], registry=of)
        self.seconds = Histogram(
            "judgeloop_request_seconds", "Time from request to answer", ["path"], registry=of, buckets=SECONDS
        )
        self.under_way = Gauge("judgeloop_requests_under_way", "Requests under way", registry=of)
        self.verdicts = Counter("judgeloop_verdicts", "Verdicts that were asked for", ["outcome"], registry=of)
        self.reused = Counter(
            "judgeloop_verdicts_reused", "Verdicts that were stored, or asked for by another caller", registry=of
        )
        self.batches = Histogram("judgeloop_batch_size", "Questions asked together", registry=of, buckets=SIZES)
        self._calls = Counter("judgeloop_calls", "Calls to the model", ["outcome"], registry=of)
        self._tokens = Counter("judgeloop_tokens", "Tokens of the model", ["direction"], registry=of)

    def add(self, usage: Usage, *, is_null: bool) -> None:
        """Count one new verdict and its cost."""
        self.verdicts.labels("null" if is_null else "verdict").inc()
        self._calls.labels("answered").inc(max(0, usage.n_calls - usage.n_failed))
        self._calls.labels("failed").inc(max(0, usage.n_failed))
        self._tokens.labels("read").inc(max(0, usage.n_prompt_tokens))
        self._tokens.labels("written").inc(max(0, usage.n_tokens))

    def text(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self._registry)
