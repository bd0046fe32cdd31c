"""Whether the service does what it promises: for the first look of whoever is called."""

from __future__ import annotations

from deploy.grafana.panels import (
    ASKED,
    BAD_ABOVE_ZERO,
    INSTANCE,
    MINE,
    Json,
    dashboard,
    graph,
    placed,
    quantile,
    rate,
    stat,
    table,
    target,
)

FAILED, JUDGED = "roberta_slo:failed_requests:total", "roberta_slo:judged_requests:total"
ALLOWED = {slo: f"(1 - scalar(roberta_slo:{slo}:objective))" for slo in ("availability", "latency")}
OVER = ((None, "green"), (1, "yellow"), (6, "red"))
DOWN = ({"type": "value", "options": {"0": {"text": "DOWN", "color": "red", "index": 1}}},)
RUNBOOK = ({"title": "Runbook", "url": "/d/roberta-runbook"},)
MOST = 0.99  # the quantile whose exemplars are shown
CHOSEN = 'task=~"$task",model=~"$model"'


def burn(name: str, window: str, slo: str) -> str:
    """Return how many times faster than allowed the error budget is used, by the model that uses most."""
    return f"max (task_model:roberta_{name}:ratio_rate{window}{{{CHOSEN}}}) / {ALLOWED[slo]}"


def overview() -> Json:
    rows = [
        (
            "Now",
            [
                stat(
                    "Instances up",
                    "Instances that answer Prometheus. None: the service is down, and what is beside this says "
                    "nothing.",
                    "short",
                    f"sum (up{{{MINE}}}) or vector(0)",
                    ((None, "red"), (1, "green")),
                    mappings=DOWN,
                ),
                stat(
                    "Instances down",
                    "Instances that Prometheus knows and that do not answer.",
                    "short",
                    f"sum (1 - up{{{MINE}}})",
                    BAD_ABOVE_ZERO,
                ),
                stat(
                    "Alerts",
                    "Alerts of this service that are firing now. A click leads to the runbook.",
                    "short",
                    'count (ALERTS{service="roberta",alertstate="firing"}) or vector(0)',
                    BAD_ABOVE_ZERO,
                    links=RUNBOOK,
                ),
                stat(
                    "Requests",
                    "Requests answered each second, whatever the answer.",
                    "reqps",
                    rate("roberta_requests_total"),
                ),
                stat(
                    "Error budget burn",
                    "How many times faster than allowed requests fail, over an hour, by the worst model. "
                    "At one, the budget lasts just for its month.",
                    "short",
                    burn("failures", "1h", "availability"),
                    OVER,
                ),
                stat(
                    "Latency budget burn",
                    "How many times more requests than allowed are slow for their length, over an hour, by the worst "
                    "model.",
                    "short",
                    burn("slow", "1h", "latency"),
                    OVER,
                ),
                stat(
                    "Queue",
                    "How full the queue is, in tokens. When it is full, requests are answered 429.",
                    "percentunit",
                    f"max (instance:roberta_queue_use:ratio{{{INSTANCE}}})",
                    ((None, "green"), (0.5, "yellow"), (0.8, "red")),
                ),
                stat(
                    "Models not served",
                    "Bundles found in the models folder that are not loaded. GET /models says why.",
                    "short",
                    f"sum (1 - roberta_model_loaded{{{INSTANCE}}})",
                    BAD_ABOVE_ZERO,
                ),
            ],
        ),
        (
            "Firing",
            [
                table(
                    "Alerts",
                    "What is firing, and of what. A click leads to the runbook, which has an entry for each.",
                    'ALERTS{service="roberta",alertstate="firing"}',
                    {
                        "severity": "Severity",
                        "alertname": "Alert",
                        "task": "Task",
                        "model": "Model",
                        "instance": "Instance",
                    },
                    ("alertstate", "service", "Value"),
                    links=RUNBOOK,
                ),
                graph(
                    "Answers Prometheus",
                    "1 while an instance answers scrapes, 0 while it does not.",
                    "short",
                    target(f"up{{{MINE}}}", "{{instance}}"),
                    max=1,
                    decimals=0,
                ),
            ],
        ),
        (
            "Requests",
            [
                graph(
                    "Requests by task",
                    "Requests answered each second, stacked. A request for something unknown has no task.",
                    "reqps",
                    target(rate("roberta_requests_total", "task"), "{{task}}"),
                    stacked=True,
                ),
                graph(
                    "Latency",
                    "Time from a request's arrival to its answer, over the chosen tasks and models. Long texts take "
                    "longer: see the seconds for each window. A point leads to the trace of one request.",
                    "s",
                    *(
                        target(
                            quantile(share, "roberta_request_duration_seconds"),
                            f"p{share * 100:g}",
                            exemplar=share == MOST,
                        )
                        for share in (0.5, 0.95, MOST)
                    ),
                ),
                graph(
                    "p99 for each window",
                    "The slowest hundredth of the requests, each over its windows: what the objective of latency "
                    "judges.",
                    "s",
                    target(
                        f"task_model:roberta_request_duration_per_window_seconds:p99_rate5m{{{CHOSEN}}}",
                        "{{task}} {{model}}",
                    ),
                ),
            ],
        ),
        (
            "What goes wrong",
            [
                graph(
                    "Failures of the service",
                    "Share of the requests that failed by the service's fault: 500, 503, and deadlines of more than a "
                    "second that were missed.",
                    "percentunit",
                    target(
                        f"sum by (code) (rate({FAILED}{{{ASKED}}}[$__rate_interval])) "
                        f"/ on () group_left () (sum (rate({JUDGED}{{{ASKED}}}[$__rate_interval])) > 0)",
                        "{{code}}",
                    ),
                ),
                graph(
                    "Mistakes of clients",
                    "Requests answered 4xx each second, by status: what was sent cannot be answered, or the key is at "
                    "its limits. 429 may be a full queue as well.",
                    "reqps",
                    target(
                        f'sum by (code) (rate(roberta_requests_total{{{ASKED},code=~"4.."}}[$__rate_interval]))',
                        "{{code}}",
                    ),
                ),
                graph(
                    "Rejected",
                    "Requests turned away each second before any work was done for them, by reason.",
                    "reqps",
                    target(f"{rate('roberta_rejected_total', 'reason', INSTANCE)} > 0", "{{reason}}"),
                ),
                graph(
                    "Given up",
                    "Work dropped each second: cancelled because the client went away, or past its deadline. Deadlines "
                    "of a second or less are the clients' own.",
                    "reqps",
                    target(rate("roberta_cancelled_total", "", INSTANCE), "cancelled"),
                    target(rate("roberta_deadline_missed_total", "", INSTANCE), "admitted, deadline passed"),
                    target(
                        f"sum (rate(roberta_slo:missed_deadlines:total{{{ASKED}}}[$__rate_interval]))",
                        "deadline over 1 s missed",
                    ),
                    target(
                        rate("roberta_missed_deadline_seconds_bucket", "", f'{ASKED},le="1.0"'),
                        "deadline of 1 s or less missed",
                    ),
                ),
            ],
        ),
        (
            "Objectives",
            [
                graph(
                    f"{title} budget burn",
                    "How many times faster than allowed the budget is used. Somebody is called at 14.4 over an "
                    "hour and "
                    "five minutes, or 6 over six hours and half an hour.",
                    "short",
                    *(target(burn(name, window, slo), window) for window in ("5m", "30m", "1h", "6h", "3d")),
                )
                for title, name, slo in (("Error", "failures", "availability"), ("Latency", "slow", "latency"))
            ],
        ),
    ]
    return dashboard("roberta", "RoBERTa: overview", "Whether the service does what it promises.", placed(rows))
