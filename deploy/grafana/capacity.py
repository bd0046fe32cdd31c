"""How much more the service can take, and what ends first: runners, queue, connections, memory, GPUs."""

from __future__ import annotations

from deploy.grafana.panels import (
    BLUE,
    INSTANCE,
    MINE,
    RUN,
    Json,
    dashboard,
    graph,
    heatmap,
    mean,
    placed,
    quantile,
    rate,
    stat,
    target,
)


def capacity() -> Json:
    rows = [
        (
            "Runners",
            [
                graph(
                    "Runner busy",
                    "Share of its time that each runner spends computing. Near 100 %, more load only waits. One "
                    "at zero "
                    "beside busy ones hangs, or has no work.",
                    "percentunit",
                    target(f"roberta_runner_busy_ratio{{{INSTANCE}}}", "{{instance}} {{runner}}"),
                    max=1,
                ),
                graph(
                    "Tokens",
                    "Useful tokens computed each second, and what would be if the runners were always as fast "
                    "and busy.",
                    "short",
                    target(rate("roberta_tokens_total", "instance", INSTANCE), "{{instance}}"),
                    target(
                        f"{rate('roberta_tokens_total', 'instance', INSTANCE)} / "
                        f"(avg by (instance) (roberta_runner_busy_ratio{{{INSTANCE}}}) > 0.05)",
                        "{{instance}} at most",
                    ),
                ),
                graph(
                    "Mean time by stage",
                    "Tokenizing and waiting are means over requests, the forward pass over batches. Their sum "
                    "falls short "
                    "of the whole by parsing and answering.",
                    "s",
                    target(mean("roberta_tokenize_duration_seconds"), "tokenize"),
                    target(mean("roberta_queue_duration_seconds"), "queue"),
                    target(mean("roberta_forward_duration_seconds", "", RUN), "forward"),
                    target(mean("roberta_request_duration_seconds"), "whole request"),
                ),
                graph(
                    "p99 by stage",
                    "The slowest hundredth of each stage. A queue far above the forward pass means too much load; the "
                    "reverse, too long texts.",
                    "s",
                    target(quantile(0.99, "roberta_tokenize_duration_seconds"), "tokenize"),
                    target(quantile(0.99, "roberta_queue_duration_seconds"), "queue"),
                    target(quantile(0.99, "roberta_forward_duration_seconds", "", RUN), "forward"),
                ),
            ],
        ),
        (
            "Queue",
            [
                graph(
                    "Queue, in tokens",
                    "Tokens that wait, against the most that may.",
                    "short",
                    target(f"sum by (instance) (roberta_queue_tokens{{{INSTANCE}}})", "{{instance}} waiting"),
                    target(f"sum by (instance) (roberta_queue_capacity_tokens{{{INSTANCE}}})", "{{instance}} capacity"),
                ),
                graph(
                    "Queue, in requests",
                    "Requests that wait for a runner.",
                    "short",
                    target(f"sum by (instance) (roberta_queue_requests{{{INSTANCE}}})", "{{instance}}"),
                ),
                graph(
                    "Time to drain",
                    "How long what waits takes at the speed of the last minute. Admission bounds it by "
                    "max_queue_s; far "
                    "more means that batches are slower than they were.",
                    "s",
                    target(f"instance:roberta_queue_drain:seconds{{{INSTANCE}}}", "{{instance}}"),
                ),
                heatmap(
                    "Tokens in a batch",
                    "How many useful tokens one forward pass had, by the bounds that are counted.",
                    "short",
                    "roberta_batch_tokens",
                ),
            ],
        ),
        (
            "Clients",
            [
                graph(
                    "Connections",
                    "Open connections, to all processes of an instance together. Each process takes "
                    "`max_connections` at "
                    "most.",
                    "short",
                    target(f"sum by (instance) (roberta_connections{{{INSTANCE}}})", "{{instance}}"),
                ),
                graph(
                    "Connections dropped",
                    "Connections that were closed each second for a limit: silent ones, idle ones that made "
                    "room, readers "
                    "that were too slow, and those for which no descriptor was left.",
                    "ops",
                    target(rate("roberta_connections_dropped_total", "reason", INSTANCE), "{{reason}}"),
                ),
                graph(
                    "Requests by key",
                    "Predictions asked for each second with each API key, stacked, whatever the answer. Requests "
                    "without "
                    "a key are not counted.",
                    "reqps",
                    target(rate("roberta_key_requests_total", "key", INSTANCE), "{{key}}"),
                    stacked=True,
                ),
                graph(
                    "Keys at their limits",
                    "Requests refused each second because their key asks for more than it may: its rate, or its "
                    "requests "
                    "at once.",
                    "reqps",
                    target(rate("roberta_key_limited_total", "key", INSTANCE), "{{key}}"),
                ),
            ],
        ),
        (
            "Processes",
            [
                graph(
                    "Engines",
                    "1 while an engine makes progress; 0 while its process is away or silent, or a runner of it hangs. "
                    "Its supervisor replaces it within seconds.",
                    "short",
                    target(f"roberta_engine_up{{{INSTANCE}}}", "{{instance}} engine {{engine}}"),
                    max=1,
                    decimals=0,
                ),
                graph(
                    "Replaced",
                    "Processes that died or were frozen, and runners that failed outside of a forward pass, in "
                    "the last "
                    "five minutes. The lines process_died and process_frozen of the log say why.",
                    "short",
                    target(
                        f"sum by (instance, role) (increase(roberta_process_restarts_total{{{INSTANCE}}}[5m]))",
                        "{{instance}} {{role}}",
                    ),
                    target(
                        f"sum by (instance) (increase(roberta_runner_restarts_total{{{INSTANCE}}}[5m]))",
                        "{{instance}} runner",
                    ),
                ),
                graph(
                    "Requests sent again",
                    "Requests that were sent to another engine process each second, because theirs was lost or silent. "
                    "Their clients only wait longer.",
                    "reqps",
                    target(rate("roberta_resent_total", "instance", INSTANCE), "{{instance}}"),
                ),
                graph(
                    "Log lines dropped",
                    "Lines that were dropped each second because nobody read standard error in time.",
                    "ops",
                    target(rate("roberta_log_lines_dropped_total", "instance", INSTANCE), "{{instance}}"),
                ),
            ],
        ),
        (
            "Machine",
            [
                graph(
                    "Memory",
                    "Resident memory of all processes of an instance: models and requests in flight.",
                    "bytes",
                    target(f"process_resident_memory_bytes{{{MINE}}}", "{{instance}}"),
                ),
                graph(
                    "CPU",
                    "Cores in use by all processes of an instance.",
                    "short",
                    target(f"rate(process_cpu_seconds_total{{{MINE}}}[$__rate_interval])", "{{instance}}"),
                ),
                graph(
                    "Descriptors",
                    "Open files and connections of all processes of an instance, and what one process may open.",
                    "short",
                    target(f"process_open_fds{{{MINE}}}", "{{instance}} open"),
                    target(f"process_max_fds{{{MINE}}}", "{{instance}} at most, each process"),
                ),
            ],
        ),
        (
            "Versions",
            [
                stat(
                    "Version and age",
                    "The version that each instance runs, and the time since it started.",
                    "s",
                    f"roberta_build_info{{{INSTANCE}}} * on (instance) group_left () (time() - "
                    f"process_start_time_seconds)",
                    BLUE,
                    "{{instance}}: {{version}}",
                    decimals=0,
                )
            ],
        ),
        (
            "GPU",
            [
                graph(
                    "GPU utilization",
                    "Share of the time in which the GPU ran anything at all; 100 % need not mean that it is full.",
                    "percentunit",
                    target(f"roberta_gpu_utilization_ratio{{{INSTANCE}}}", "{{instance}} GPU {{gpu}}"),
                    max=1,
                ),
                graph(
                    "GPU memory",
                    "Memory in use on the GPU, by every process, against what it has.",
                    "bytes",
                    target(f"roberta_gpu_memory_used_bytes{{{INSTANCE}}}", "{{instance}} GPU {{gpu}} used"),
                    target(f"roberta_gpu_memory_total_bytes{{{INSTANCE}}}", "{{instance}} GPU {{gpu}} total"),
                ),
            ],
        ),
    ]
    about = "How much more the service can take, and what ends first."
    return dashboard("roberta-capacity", "RoBERTa: capacity", about, placed(rows))
