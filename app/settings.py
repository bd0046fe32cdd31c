"""Settings: each one a flag of `roberta-serve` and an environment variable with the prefix ROBERTA_."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator
from pydantic_core import from_json
from pydantic_settings import NoDecode

from app.http_settings import HttpSettings

MOST_IDLE_THREADS = 8  # a sentence's matrices are too small for more threads to gain anything


def reject_blank_key(key: SecretStr) -> SecretStr:
    """Refuse an empty key, which would let everybody in, and one with spaces at its ends, which no client can send."""
    value = key.get_secret_value()
    if not value or value != value.strip():
        raise ValueError("a key must not be empty, nor begin or end with white space")
    return key


def reject_unknown_route(route: str) -> str:
    from app.tasks import TASKS  # half of the time to a mistyped flag's answer, which needs none of them

    routes = sorted(task.route for task in TASKS.values())
    if route not in routes:
        raise ValueError(f"there is no route {route!r}; choose one of {', '.join(routes)}")
    return route


def first_route() -> str:
    from app.tasks import DEFAULT_ROUTE

    return DEFAULT_ROUTE


Route = Annotated[str, AfterValidator(reject_unknown_route)]
Page = Literal["docs", "metrics", "models", "page"]
LogLevel = Literal["debug", "info", "warning", "error"]
ApiKey = Annotated[SecretStr, AfterValidator(reject_blank_key)]


class Settings(HttpSettings):
    """Serve fine-tuned RoBERTa models over HTTP with dynamic batching."""

    models: Path = Field(Path("models"), description="Folder of bundles, models/<name>/<version>/.")
    model: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Model to serve by its name on the Hugging Face Hub, or by its folder: [NAME=]ORG/NAME[@REVISION]. "
        "Repeatable; in the environment parted by spaces. The models folder is served beside them where it is given.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where to run. auto: cuda where onnxruntime finds it, else cpu."
    )
    gpus: list[Annotated[int, Field(ge=0)]] = Field(
        [0],
        min_length=1,
        description="GPUs to run on, by CUDA's numbers, e.g. [0, 1]; each holds every model. With http_workers, each "
        "has a process of its own.",
    )
    gpu_memory_limit_mb: int | None = Field(
        None,
        ge=64,
        description="Memory of one model on one GPU, in MiB, and as much again for its CUDA graphs. Default: what "
        "there is.",
    )
    cuda_graphs: bool = Field(
        True,
        description="Replay small batches on a GPU as CUDA graphs, up to the size at which that measured faster while "
        "loading; costs a second copy of the weights.",
    )
    default_models: dict[Route, str] = Field(
        default_factory=dict,
        description='Model that answers each route, e.g. {"classify": "sentiment"}. Else what defaults.json in '
        "models says, or the first by name.",
    )
    reload_interval_s: float = Field(
        0.0,
        ge=0,
        le=86_400,
        description="Look at the models folder this often in s, and load what has changed once it has been the same "
        "for as long. 0: on SIGHUP and by order only.",
    )
    default_route: Route = Field(
        default_factory=first_route, description="Route that answers POST /. Default: that of text classification."
    )
    api_keys: list[ApiKey] = Field(
        default_factory=list,
        description="Keys accepted as `Authorization: Bearer`, for predictions, the other pages and metrics.",
    )
    api_keys_file: Path | None = Field(
        None,
        description="TOML file of more keys, by their SHA-256, with scopes and limits; followed while the service "
        "runs. Neither this nor api_keys: no key is asked for.",
    )

    access: dict[Page, Literal["open", "key", "off"]] = Field(
        default_factory=dict,
        description='Whether docs, metrics, models (with info) and page are open, need a key or are off, e.g. {"docs": '
        '"off"}. Where keys are configured all but page need one, metrics one with that scope; else they are open.',
    )

    http_workers: int = Field(
        0,
        ge=0,
        le=256,
        description="Processes for HTTP and tokenizing, beside one for each engine. 0: one process does everything.",
    )
    runners: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Batches that run at once in one engine. Default: one per CPU core, or two per GPU.",
    )
    precision: Literal["fp32", "fp16", "int8", "int4"] | None = Field(
        None,
        description="Graph to serve of each model that has it; none: the fastest of those whose answers do not depend "
        "on the batch.",
    )
    intra_op_threads: int = Field(1, ge=1, le=256, description="Threads of one batch on CPU.")
    idle_threads: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Threads of a CPU batch while nothing else runs, for sizes at which that proves faster; "
        "costs a second copy of the weights. Default: one per core, at most 8. 1: never.",
    )
    max_batch_tokens: int | None = Field(
        None, ge=16, description="Tokens in one batch. Default: found by timing the model at warm-up."
    )
    max_queue_delay_ms: float = Field(
        0.0, ge=0, description="How long a batch with room left waits for more requests, in ms. 0: not at all."
    )
    max_queue_tokens: int = Field(
        131_072, ge=512, description="Tokens that may wait in one engine; beyond it requests get 429."
    )
    max_queue_s: float = Field(
        5.0,
        gt=0,
        description="How long the work ahead of a new request may take in one engine, in s; beyond it requests get "
        "429. A request's own work does not count.",
    )
    max_queue_age_ms: float = Field(
        500.0,
        gt=0,
        description="A window that has waited this long in ms goes next, whatever its priority, "
        "unless the last batch was of one that had.",
    )

    request_timeout_s: float = Field(30.0, gt=0, le=3600, description="Deadline of a request that names none, in s.")
    max_body_bytes: int = Field(4 * 2**20, ge=1024, description="Largest request body.")
    max_body_memory_mb: int = Field(
        256, ge=1, description="Memory of the bodies that one process has in hand, in MiB; beyond it they get 429."
    )
    max_inputs: int = Field(1024, ge=1, description="Most texts in one request.")
    max_characters: int = Field(
        1_000_000, ge=1024, description="Most characters that one request may ask to tokenize, in all its texts."
    )
    max_answer_memory_mb: int = Field(
        256,
        ge=64,
        description="Memory of the answers that one process has in progress, in MiB; beyond it they get 429.",
    )
    load_timeout_s: float = Field(
        600.0,
        gt=0,
        description="How long one version of a model may take to load, its proof and warm-up included, in s; beyond "
        "it, it is refused.",
    )
    stall_timeout_s: float = Field(
        60.0,
        gt=0,
        description="A batch that runs longer than this in s turns /health/live red; with http_workers its engine "
        "process is replaced, and /health/live turns red when no engine answers or loads for so long, 30 s at least.",
    )
    shutdown_delay_s: float = Field(
        0.0,
        ge=0,
        le=600,
        description="How long requests are answered after SIGTERM as before, but for /health/ready, so that whoever "
        "sends them can learn of it, in s.",
    )
    drain_timeout_s: float = Field(30.0, ge=0, description="How long requests in flight may finish at shutdown, in s.")
    log_level: LogLevel = Field("info", description="Least severe log line.")
    log_levels: dict[str, LogLevel] = Field(
        default_factory=dict,
        description='The same for single modules, e.g. {"app.engine": "debug"}; an order may change it at run time.',
    )
    access_log: bool = Field(
        False, description="Log a line for each request that is answered: route, model, tokens and times of its stages."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto",
        description="console: colored, for a person. auto: console where standard error is a terminal, else json.",
    )

    @field_validator("model", mode="before")
    @classmethod
    def split_models(cls, value: Any) -> Any:
        """Take a text of several, parted by spaces or commas, or as JSON has a list."""
        if not isinstance(value, str):
            return value
        if value.strip() and Path(value).is_dir():
            return [value]
        return from_json(value) if value.lstrip().startswith("[") else value.replace(",", " ").split()

    def idle_threads_here(self) -> int:
        """Return the threads of a batch on CPU that has the machine to itself."""
        return self.idle_threads or min(available_cores(), MOST_IDLE_THREADS)

    @model_validator(mode="after")
    def check_gpus(self) -> Self:
        """Refuse what cannot be started; engine processes start before it is known which device there is."""
        if len(set(self.gpus)) < len(self.gpus):
            raise ValueError("gpus must be different numbers")
        if self.runners is not None and self.runners < len(self.gpus) and not self.http_workers:
            raise ValueError("every one of gpus needs a runner; raise runners, or leave it out")
        if len(self.gpus) > 1 and self.http_workers and self.device != "cuda":
            raise ValueError("several gpus with http_workers need device cuda")
        return self

    @model_validator(mode="after")
    def check_access(self) -> Self:
        """Refuse what would keep everybody out."""
        if self.access.get("page") == "key":
            raise ValueError("access: page cannot need a key, which a browser does not send; it holds no secret")
        if "key" in self.access.values() and not self.api_keys and self.api_keys_file is None:
            raise ValueError("access: a key is needed where none is configured; set api_keys_file or api_keys")
        return self

    @property
    def engines(self) -> int:
        """How many engine processes there are when HTTP has its own."""
        return len(self.gpus)

    def runners_on(self, device: Literal["cpu", "cuda"]) -> int:
        """Return how many batches run at once on `device`. On a GPU one is packed and copied while one is computed."""
        return self.runners or (available_cores() if device == "cpu" else 2 * len(self.gpus))


def available_cores() -> int:
    """Return the cores that this process may use: its CPU set, bounded by a container's CPU quota.

    Source: cgroup v2's cpu.max, "<quota> <period>" in microseconds, or "max <period>" where there is no quota.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, round(int(quota) / int(period))))
