"""What each model does, and which version does it."""

from __future__ import annotations

from deploy.grafana.panels import (
    ASKED,
    INSTANCE,
    RUN,
    Json,
    dashboard,
    graph,
    heatmap,
    mean,
    placed,
    quantile,
    rate,
    table,
    target,
)

VERSION = "{{task}} {{model}} v{{version}}"
SERVED = "max by (instance, model, version) (roberta_model_info)"


def by_version(expr: str, *more: str) -> str:
    """Return series by instance, task and model with the version that the instance serves; `more` labels are kept."""
    labels = ", ".join((*more, "task", "model", "version"))
    return f"sum by ({labels}) ({expr} * on (instance, model) group_left (version) {SERVED})"


def p99_by_version() -> str:
    buckets = rate("roberta_request_duration_seconds_bucket", "instance, le, task, model")
    return f"histogram_quantile(0.99, {by_version(buckets, 'le')}) >= 0"


def models() -> Json:
    rows = [
        (
            "Served",
            [
                table(
                    "Models",
                    "Each model, what serves it, and whether it is loaded (1) or not (0). One that is not shows "
                    "its name "
                    "only; GET /models says why.",
                    f"roberta_model_info{{{RUN}}} * on (instance, model) group_left () roberta_model_loaded "
                    f"or on (instance, model) roberta_model_loaded{{{RUN}}}",
                    {
                        "model": "Model",
                        "version": "Version",
                        "task": "Task",
                        "precision": "Precision",
                        "provider": "Provider",
                        "layout": "Layout",
                        "instance": "Instance",
                        "Value": "Loaded",
                    },
                ),
                graph(
                    "Failures",
                    "Versions that are refused and problems of the last load, now; versions that failed to load and "
                    "windows whose forward pass failed, in the last five minutes.",
                    "short",
                    target(f"max by (model) (roberta_model_versions_refused{{{RUN}}})", "refused {{model}}"),
                    target(f"max by (kind) (roberta_load_problems{{{INSTANCE}}})", "problems {{kind}}"),
                    target(
                        f"sum by (model) (increase(roberta_model_load_failures_total{{{RUN}}}[5m]))", "load {{model}}"
                    ),
                    target(
                        f"sum by (model) (increase(roberta_forward_failures_total{{{RUN}}}[5m]))", "forward {{model}}"
                    ),
                ),
            ],
        ),
        (
            "By model and version",
            [
                graph(
                    "Requests",
                    "Requests answered each second by each version, whatever the answer. Where one version follows "
                    "another, so do the lines.",
                    "reqps",
                    target(by_version(rate("roberta_requests_total", "instance, task, model")), VERSION),
                    stacked=True,
                ),
                graph(
                    "Failures of the service",
                    "Requests each second that failed by the service's fault.",
                    "reqps",
                    target(
                        by_version(
                            "sum by (instance, task, model) "
                            f"(rate(roberta_slo:failed_requests:total{{{ASKED}}}[$__rate_interval]))"
                        ),
                        VERSION,
                    ),
                ),
                graph(
                    "p99 latency",
                    "The slowest hundredth of the requests to each version.",
                    "s",
                    target(p99_by_version(), VERSION),
                ),
                graph(
                    "Mean seconds for each window",
                    "A request's time over its windows, so that models that are asked long texts and short ones "
                    "compare.",
                    "s",
                    target(mean("roberta_request_duration_per_window_seconds", "task, model"), "{{task}} {{model}}"),
                ),
            ],
        ),
        (
            "What is asked",
            [
                graph(
                    "Windows per request",
                    "Mean number of pieces that a request's texts were split into. Above one: several texts, or texts "
                    "longer than the model.",
                    "short",
                    target(mean("roberta_windows_per_request", "task, model"), "{{task}} {{model}}"),
                ),
                graph(
                    "Tokens per window",
                    "Mean length of the windows, special tokens included. Where it changes, other texts are asked.",
                    "short",
                    target(
                        f"sum by (model) (rate(roberta_batch_tokens_sum{{{RUN}}}[$__rate_interval])) / "
                        f"(sum by (model) (rate(roberta_batch_sequences_sum{{{RUN}}}[$__rate_interval])) > 0)",
                        "{{model}}",
                    ),
                ),
                graph(
                    "Tokens",
                    "Useful tokens computed each second by each model, stacked.",
                    "short",
                    target(rate("roberta_tokens_total", "model", RUN), "{{model}}"),
                    stacked=True,
                ),
            ],
        ),
        (
            "What is answered",
            [
                graph(
                    "Answers by label",
                    "Labels answered each second, or types of entities, stacked. (none): texts without any. (other): "
                    "all labels beyond the first hundred of a model.",
                    "ops",
                    target(rate("roberta_answers_total", "task, model, label"), "{{task}} {{model}}: {{label}}"),
                    stacked=True,
                ),
                graph(
                    "Mean confidence",
                    "How sure each model was of its answers, on average. Where it falls, the texts are others than "
                    "those that it was trained on.",
                    "percentunit",
                    target(mean("roberta_answer_confidence", "task, model"), "{{task}} {{model}}"),
                    max=1,
                ),
                graph(
                    "Drift of answers",
                    "The share of the last hour's answers that are others than in the week before it.",
                    "percentunit",
                    target(
                        'task_model:roberta_answers_drift:ratio{task=~"$task",model=~"$model"}', "{{task}} {{model}}"
                    ),
                    target("roberta_slo:drift:max", "alert above"),
                    max=1,
                ),
            ],
        ),
        (
            "Batches",
            [
                heatmap(
                    "Windows in a batch",
                    "How many windows one forward pass had, by the bounds that are counted. One under light load is "
                    "right: nothing waits for more.",
                    "short",
                    "roberta_batch_sequences",
                ),
                graph(
                    "Mean batch",
                    "Mean windows of a forward pass, by model.",
                    "short",
                    target(mean("roberta_batch_sequences", "model", RUN), "{{model}}"),
                ),
                graph(
                    "Mean forward pass",
                    "Mean seconds of a forward pass, and its slowest hundredth, by model.",
                    "s",
                    target(mean("roberta_forward_duration_seconds", "model", RUN), "{{model}} mean"),
                    target(quantile(0.99, "roberta_forward_duration_seconds", "model", RUN), "{{model}} p99"),
                ),
                graph(
                    "Batch fill",
                    "Useful tokens over computed ones: 100 % means that nothing was spent on padding.",
                    "percentunit",
                    target(mean("roberta_batch_fill_ratio", "model", RUN), "{{model}}"),
                    max=1,
                ),
            ],
        ),
    ]
    return dashboard("roberta-models", "RoBERTa: models", "What each model and version does.", placed(rows))
