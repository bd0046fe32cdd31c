"""Every Prometheus series of the service, on a registry that is passed in, so that two apps do not collide.

Labels are bounded sets: routes, model names, status codes, reasons. Never text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isnan

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from app import __version__
from app.errors import ServeError

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
WINDOW_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
DEADLINE_SECONDS = (0.01, 0.1, 1.0, 5.0, 30.0)
SURENESS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)

LOAD_PROBLEMS = ("folder", "defaults")

PROCESS_ROLES = ("engine", "worker", "admin")

TASK_MODEL = ("task", "model")
MOST_LABELS = 100  # of one model that are counted by name; all further ones are one
LONGEST_LABEL = 100  # characters
OTHER_LABELS = "(other)"

FAILURES = (500, 503, 504)  # at zero from the start: a counter that begins at its first failure hides that one

disable_created_metrics()  # type: ignore[no-untyped-call]  # a `_created` gauge for every series would double a scrape


@dataclass(frozen=True, slots=True)
class ModelSeries:
    """The series of one model, looked up once: finding one by its labels is slow."""

    ok: Counter
    request_duration: Histogram
    request_duration_per_window: Histogram
    tokenize_duration: Histogram
    queue_duration: Histogram
    windows_per_request: Histogram
    tokens: Counter
    forward_duration: Histogram
    batch_sequences: Histogram
    batch_tokens: Histogram
    batch_fill_ratio: Histogram
    forward_failures: Counter

    def observe_request(
        self, total_s: float, tokenize_s: float, queue_s: float, windows: int, exemplar: dict[str, str] | None = None
    ) -> None:
        """Count one answered request and its parts; `exemplar` are labels that lead to its trace."""
        self.ok.inc()
        self.request_duration.observe(total_s, exemplar)
        self.request_duration_per_window.observe(total_s / (windows or 1))
        self.tokenize_duration.observe(tokenize_s)
        self.queue_duration.observe(queue_s)
        self.windows_per_request.observe(windows)

    def observe_batch(self, sequences: int, tokens: int, computed: int, seconds: float) -> None:
        """Count one forward pass; `computed` are its tokens with padding."""
        self.forward_duration.observe(seconds)
        self.batch_sequences.observe(sequences)
        self.batch_tokens.observe(tokens)
        self.batch_fill_ratio.observe(tokens / computed)
        self.tokens.inc(tokens)


class AnswerSeries:
    """The labels that a model answers, and how sure it is of them."""

    def __init__(self, by_label: Mapping[str, Counter], others: Counter | None, confidence: Histogram) -> None:
        self._by_label, self._others, self._confidence = by_label, others, confidence

    def count(self, label: str, confidence: float) -> None:
        """Count a label, with how sure the model is of it; not a number where there is no such thing."""
        counter = self._by_label.get(label, self._others)
        if counter is not None:
            counter.inc()
        if not isnan(confidence):
            self._confidence.observe(confidence)


def count_restarts(registry: CollectorRegistry) -> Counter:
    """Return the counter of replaced processes; where there are several, the supervisor counts."""
    counter = Counter(
        "roberta_process_restarts_total",
        "Processes that died or froze and were started again.",
        ("role",),
        registry=registry,
    )
    for role in PROCESS_ROLES:
        counter.labels(role)
    return counter


class Metrics:
    """All series; those without labels, and those of loaded models, exist from the start at zero.

    Several processes count in files, from which no series can be removed. There `app.processes.metrics` shows which
    models are served. `counts_answers`: whether what is answered is known in this process; an engine of several only
    computes it.
    """

    def __init__(
        self, registry: CollectorRegistry, *, is_one_of_several: bool = False, counts_answers: bool = True
    ) -> None:
        self.registry, self._is_one_of_several = registry, is_one_of_several
        self.counts_answers = counts_answers
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry, multiprocess_mode="livesum")  # the sum over the engines
        same = partial(Gauge, registry=registry, multiprocess_mode="livemax")  # the same in each process
        histogram = partial(Histogram, registry=registry)

        self.requests = counter("roberta_requests_total", "Requests answered, by HTTP status.", (*TASK_MODEL, "code"))
        self.request_duration = histogram(
            "roberta_request_duration_seconds",
            "From a request's arrival to its answer.",
            TASK_MODEL,
            buckets=SECONDS,
        )
        self.request_duration_per_window = histogram(
            "roberta_request_duration_per_window_seconds",
            "A request's duration over its windows, so that long texts and short ones are judged alike.",
            TASK_MODEL,
            buckets=WINDOW_SECONDS,
        )
        self.missed_deadline = histogram(
            "roberta_missed_deadline_seconds",
            "The time that requests to a model which were answered 504 had been given.",
            TASK_MODEL,
            buckets=DEADLINE_SECONDS,
        )
        self.tokenize_duration = histogram(
            "roberta_tokenize_duration_seconds", "Tokenizing a request.", TASK_MODEL, buckets=SECONDS
        )
        self.queue_duration = histogram(
            "roberta_queue_duration_seconds", "A request's wait for a runner.", TASK_MODEL, buckets=SECONDS
        )
        self.windows_per_request = histogram(
            "roberta_windows_per_request", "Windows of one request.", TASK_MODEL, buckets=COUNTS
        )
        self.answers = counter(
            "roberta_answers_total", "Labels answered, or types of entities.", (*TASK_MODEL, "label")
        )
        self.answer_confidence = histogram(
            "roberta_answer_confidence",
            "How sure a model was of the labels that it answered.",
            TASK_MODEL,
            buckets=SURENESS,
        )
        self.tokens = counter("roberta_tokens_total", "Tokens run, special tokens included.", ("model",))
        self.forward_duration = histogram(
            "roberta_forward_duration_seconds", "One forward pass of one batch.", ("model",), buckets=SECONDS
        )
        self.batch_sequences = histogram("roberta_batch_sequences", "Windows in a batch.", ("model",), buckets=COUNTS)
        self.batch_tokens = histogram("roberta_batch_tokens", "Tokens in a batch.", ("model",), buckets=TOKENS)
        self.batch_fill_ratio = histogram(
            "roberta_batch_fill_ratio", "Useful tokens over tokens computed.", ("model",), buckets=SHARES
        )
        self.forward_failures = counter(
            "roberta_forward_failures_total", "Windows whose forward pass failed.", ("model",)
        )

        self.queue_tokens = gauge("roberta_queue_tokens", "Tokens waiting for a runner.")
        self.queue_requests = gauge("roberta_queue_requests", "Requests waiting for a runner.")
        self.queue_capacity_tokens = gauge("roberta_queue_capacity_tokens", "Tokens that may wait.")
        self.rejected = counter("roberta_rejected_total", "Requests refused before any work.", ("reason",))
        for error in ServeError.__subclasses__():
            if error.before_work:
                self.rejected.labels(error.code)
        self.key_requests = counter("roberta_key_requests_total", "Predictions asked for with a key.", ("key",))
        self.key_limited = counter(
            "roberta_key_limited_total", "Requests refused because their key was at its limits.", ("key",)
        )
        self.connections = gauge("roberta_connections", "Open connections.")
        self.connections_dropped = counter(
            "roberta_connections_dropped_total", "Connections that were closed for a limit.", ("reason",)
        )
        for reason in ("silent", "evicted", "send_timeout", "descriptors"):
            self.connections_dropped.labels(reason)
        self.cancelled = counter("roberta_cancelled_total", "Requests whose client went away while they waited or ran.")
        self.resent = counter(
            "roberta_resent_total", "Requests sent again because an engine process was lost or silent."
        )
        self.deadline_missed = counter("roberta_deadline_missed_total", "Admitted requests whose deadline passed.")
        self.log_lines_dropped = counter(
            "roberta_log_lines_dropped_total", "Log lines dropped because they were not read in time."
        )
        self.runner_busy_ratio = same(
            "roberta_runner_busy_ratio",
            "Share of the time since the last scrape spent in batches.",
            ("runner",),
        )

        self.runner_restarts = counter(
            "roberta_runner_restarts_total", "Runners that failed outside of a forward pass and began anew."
        )
        self.process_restarts = count_restarts(registry)
        self.engine_up = same(
            "roberta_engine_up",
            "1 while an engine makes progress; 0 while its process is away or silent, or a runner of it hangs.",
            ("engine",),
        )
        self.gpu_memory_used = same("roberta_gpu_memory_used_bytes", "GPU memory in use.", ("gpu",))
        self.gpu_memory_total = same("roberta_gpu_memory_total_bytes", "GPU memory.", ("gpu",))
        self.gpu_utilization = same("roberta_gpu_utilization_ratio", "Share of time with a kernel running.", ("gpu",))

        self.model_info = same(
            "roberta_model_info",
            "What is being served; always 1.",
            ("model", "version", "task", "precision", "provider", "layout"),
        )
        self.model_loaded = same("roberta_model_loaded", "Whether a version of the model is served.", ("model",))
        self.model_versions_refused = same(
            "roberta_model_versions_refused", "Versions of the model that the last load refused.", ("model",)
        )
        self.model_load_failures = counter(
            "roberta_model_load_failures_total", "Versions that were refused at load.", ("model",)
        )
        self.load_problems = same(
            "roberta_load_problems",
            "Problems of the last load that concern no single bundle: with the models folder, or with defaults.",
            ("kind",),
        )
        for kind in LOAD_PROBLEMS:
            self.load_problems.labels(kind)
        same("roberta_build_info", "Version of the service; always 1.", ("version",)).labels(__version__).set(1)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)

    def show_models(
        self, loaded: Mapping[str, bool], refused: Mapping[str, int], served: Iterable[Mapping[str, str]]
    ) -> None:
        """Show which names under `models/` are loaded, how many of their versions are refused and, by its labels, what
        is served; drop all shown before."""
        if self._is_one_of_several:
            return
        self.model_info.clear()
        self.model_loaded.clear()
        self.model_versions_refused.clear()
        for name, is_loaded in loaded.items():
            self.model_loaded.labels(name).set(is_loaded)
        for name, versions in refused.items():
            self.model_versions_refused.labels(name).set(versions)
        for labels in served:
            self.model_info.labels(**labels).set(1)

    def of_answers(self, task: str, model: str, labels: Sequence[str]) -> AnswerSeries:
        """Return the series of what a model answers, made at zero; of many labels the first by name."""
        series = {label: self.answers.labels(task, model, label[:LONGEST_LABEL]) for label in labels[:MOST_LABELS]}
        others = self.answers.labels(task, model, OTHER_LABELS) if len(labels) > MOST_LABELS else None
        return AnswerSeries(series, others, self.answer_confidence.labels(task, model))

    def of_model(self, task: str, model: str) -> ModelSeries:
        """Return the series of one model, made at zero where they do not exist yet."""
        for status in FAILURES:
            self.requests.labels(task, model, str(status))
        self.missed_deadline.labels(task, model)
        return ModelSeries(
            ok=self.requests.labels(task, model, "200"),
            request_duration=self.request_duration.labels(task, model),
            request_duration_per_window=self.request_duration_per_window.labels(task, model),
            tokenize_duration=self.tokenize_duration.labels(task, model),
            queue_duration=self.queue_duration.labels(task, model),
            windows_per_request=self.windows_per_request.labels(task, model),
            tokens=self.tokens.labels(model),
            forward_duration=self.forward_duration.labels(model),
            batch_sequences=self.batch_sequences.labels(model),
            batch_tokens=self.batch_tokens.labels(model),
            batch_fill_ratio=self.batch_fill_ratio.labels(model),
            forward_failures=self.forward_failures.labels(model),
        )
