"""Who may import whom, read from the sources; and what a fresh interpreter has loaded once the service is."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NEVER_IN_APP = {"torch", "transformers", "datasets", "onnxscript", "training", "safetensors", "sklearn"}
NEVER_ON_CPU = NEVER_IN_APP | {"onnx"}  # which only rewrites int8 graphs for a GPU

# What each part of `app` may import of `app`: nothing that stands above it.
LAYERS = {
    "command_line": {"command_line", ""},
    "settings": {"http_settings", "tasks"},
    "http_settings": set(),
    "errors": set(),
    "discovery": set(),
    "window": set(),
    "logs": {"logs", "settings", "command_line"},
    "tracing": {"tracing"},
    "metrics": {"errors"},
    "bundle": {"bundle"},
    "graphs": {"graphs", "bundle"},
    "tasks": {"tasks", "discovery", "window", "bundle", "errors"},
    "engine": {"engine", "window", "errors", "metrics", "tracing"},
    "runtime": {"runtime", "engine.cost", "graphs", "window", "bundle", "metrics", "settings"},
    "serving": {
        *("serving", "tasks", "engine", "runtime", "graphs.pooling", "window", "bundle", "errors", "metrics"),
        *("settings", "tracing"),
    },
    "hub": {
        "hub",
        "command_line",
        "serving.places",
        "serving.scanning",
        "serving.sources",
        "tasks",
        "runtime.session",
        "bundle",
        "settings",
    },
    "service": {"serving", "tasks", "errors", "metrics", "settings"},
    "bulk": {
        "bulk",
        "command_line.look",
        "hub",
        "serving",
        "tasks",
        "runtime",
        "window",
        "bundle",
        "errors",
        "settings",
    },
    "api": {
        "api",
        "command_line",
        "service",
        "serving",
        "tasks",
        "window",
        "errors",
        "logs",
        "metrics",
        "settings",
        "tracing",
    },
    "processes": {
        *("processes", "command_line", "api", "service", "serving", "tasks", "engine.work", "engine.backlog"),
        *("runtime.session", "runtime.memory", "hub.named", "window", "bundle", "errors", "logs", "metrics"),
        *("settings", "tracing"),
    },
    "tune": {
        "command_line.look",
        "serving",
        "engine",
        "runtime",
        "window",
        "bundle",
        "metrics",
        "settings",
        "http_settings",
    },
    "main": {"api", "service", "settings", "tracing"},
    "cluster": {
        *("cluster", "commands.parsing", "commands.serve", "commands.models_check", "commands.settings_flags"),
        *("api", "service", "serving", "bulk", "processes.orphaning", "runtime.memory", "runtime.session", "bundle"),
        *("hub.named", "logs", "metrics", "errors", "settings", "tracing"),
    },
    "commands": {
        "cluster.files",
        *(
            "commands",
            "command_line",
            "main",
            "tune",
            "bulk",
            "api",
            "serving",
            "processes.supervisor",
            "runtime.session",
        ),
        *("runtime.memory", "tasks", "errors", "hub"),
        *("bundle", "logs", "settings", "http_settings", "tracing"),
    },
    "__main__": {"commands", "command_line"},
    "": set(),
}
# The parts of training, the lowest first: each imports only from its own line and those above it.
TRAINING_FLOORS = (
    {"errors", "config", "progress", "provenance", "trained", "encoders", ""},
    {"data", "losses", "contrastive"},
    {"reading"},
    {"evaluation"},
    {"tasks"},
    {"checking", "evaluable", "export"},
    {"compression"},
    {"fit"},
    {"pretraining"},
    {"commands"},
    {"__main__"},
)
FLOOR_OF = {part: floor for floor, parts in enumerate(TRAINING_FLOORS) for part in parts}
TRAINING_MAY_USE = (
    *(
        "app.bundle",
        "app.command_line",
        "app.discovery",
        "app.errors",
        "app.graphs",
        "app.settings",
        "app.runtime",
        "app.serving.sources",
        "app.tasks",
        "app.window",
    ),
)

# Of other packages, what only some may touch.
ONLY = {
    "onnxruntime": {"app.runtime"},
    "onnx": {"app.graphs"},
    "fastapi": {"app.api"},
    "starlette": {"app.api", "app.cluster.front", "app.cluster.refusing", "app.cluster.retrying"},
    "ray": {"app.cluster"},
    "uvicorn": {"app.api"},
    "msgspec": {"app.processes"},
    "tokenizers": {"app.tasks.cutting", "app.tasks.tokenizer", "app.tasks.tokens"},
    "asyncio": {
        *("app.api", "app.engine.engine", "app.engine.mailbox", "app.serving", "app.processes"),
        *("app.service", "app.tune", "app.commands.serve", "app.cluster"),
    },
    "threading": {
        *("app.api.admin", "app.processes.admin", "app.serving.local_engine"),
        *("app.engine.engine", "app.engine.runner", "app.tasks.tokenizer"),
        *("app.serving.loading", "app.serving.patience", "app.serving.pool"),
        *("app.processes.child", "app.processes.held_models", "app.processes.tokenizers", "app.logs", "app.hub"),
        *("app.runtime.cuda", "app.runtime.memory", "app.tracing.spans"),
    },
    "time": {
        *("app.api", "app.engine.engine", "app.engine.runner", "app.serving", "app.tune"),
        *("app.runtime.cpu.idle_cores", "app.runtime.cuda.warmup", "app.runtime.warmup"),
        *("app.processes", "app.service", "app.logs.limit", "app.bulk.progress", "app.bulk.resuming"),
        "app.command_line.look",
        "app.tracing.spans",
        *("app.cluster.listening", "app.cluster.load", "app.cluster.retrying"),
    },
    "huggingface_hub": {"app.hub"},
    "opentelemetry": {"app.tracing.spans"},
    "subprocess": {"app.hub"},
    "pynvml": {"app.runtime.cuda.nvml"},
}


def name_of(file):
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(file):
    """Return the dotted names that a module imports, those of functions' own imports included."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            modules = {f"{node.module}.{alias.name}" for alias in node.names}
            known = {m for m in modules if m in MODULES}
            found |= known | ({node.module} if len(known) < len(modules) else set())
    return found


def files_of(package):
    return sorted((ROOT / package).rglob("*.py"))


MODULES = {name_of(file) for package in ("app", "training") for file in files_of(package)}
APP = {name_of(file): imports_of(file) for file in files_of("app")}
TRAINING = {name_of(file): imports_of(file) for file in files_of("training")}


def within(module, packages):
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("module", APP)
def test_app_imports_run_one_way(module):
    layer = f"{module}.".split(".")[1]
    allowed = {f"app.{name}" for name in LAYERS[layer]}
    wrong = {m for m in APP[module] if within(m, ["app"]) and m != "app" and not within(m, allowed)}
    assert not wrong, f"{module} may not import {', '.join(sorted(wrong))}"


def test_app_never_imports_what_training_needs():
    wrong = {(module, m) for module, imports in APP.items() for m in imports if m.split(".")[0] in NEVER_IN_APP}
    assert not wrong


@pytest.mark.parametrize("package", ONLY)
def test_other_packages_are_touched_where_they_belong(package):
    users = {module for module, imports in APP.items() if any(within(m, [package]) for m in imports)}
    assert {module for module in users if not within(module, ONLY[package])} == set()


@pytest.mark.parametrize("module", TRAINING)
def test_training_uses_of_app_only_what_it_verifies_with(module):
    wrong = {m for m in TRAINING[module] if within(m, ["app"]) and m != "app" and not within(m, TRAINING_MAY_USE)}
    assert not wrong, f"{module} may not import {', '.join(sorted(wrong))}"


@pytest.mark.parametrize("module", TRAINING)
def test_training_imports_run_one_way(module):
    part = f"{module}.".split(".")[1]
    used = {m for m in TRAINING[module] if within(m, ["training"])}
    wrong = {m for m in used if (other := f"{m}.".split(".")[1]) != part and FLOOR_OF[other] > FLOOR_OF[part]}
    assert not wrong, f"{module} may not import {', '.join(sorted(wrong))}"


def test_the_scheduler_is_pure():
    """It is told the time and never waits."""
    pure = ("admission", "cost", "demand", "ease", "filling", "queue", "running", "scheduler", "work")
    for module in (f"app.engine.{name}" for name in pure):
        assert not APP[module] & {"time", "asyncio", "threading", "random", "structlog"}


# --- Fresh interpreters ---------------------------------------------------------------------------------


def run(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_service_loads_nothing_of_training():
    loaded = run(
        "import sys, app.main, app.commands.serve, app.serving.local_engine\n"
        "print(*{n.split('.')[0] for n in sys.modules})"
    )
    assert "onnxruntime" in loaded
    assert not NEVER_ON_CPU & set(loaded)


def test_predictions_from_files_load_neither_training_nor_a_server():
    loaded = run("import sys, app.commands.predict; print(*{n.split('.')[0] for n in sys.modules})")
    assert "onnxruntime" in loaded
    assert not (NEVER_ON_CPU | {"fastapi", "uvicorn", "pyarrow", "huggingface_hub"}) & set(loaded)


def test_a_worker_and_the_supervisor_need_no_onnxruntime():
    loaded = run("import sys, app.processes.worker, app.commands.serve; print(*sys.modules)")
    assert "tokenizers" in loaded
    assert "onnxruntime" not in loaded


def test_the_service_starts_where_torch_is_not_installed(tmp_path):
    code = f"""
import sys
for name in {sorted(NEVER_IN_APP)}:
    sys.modules[name] = None
from app.main import create_app
from app.settings import Settings
assert create_app(Settings(models={str(tmp_path)!r}, device="cpu")).openapi()["paths"]["/classify"]
"""
    run(code)


def test_the_bundle_needs_neither_http_nor_onnxruntime():
    loaded = run("import sys, app.bundle; print(*sys.modules)")
    assert not {"fastapi", "onnxruntime", "tokenizers", "structlog", "torch"} & set(loaded)
