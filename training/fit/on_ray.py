"""The same training on the machines of a Ray cluster: Ray Train takes the place of `torchrun`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from app.errors import said_by
from training.config import Recipe, RecipeError
from training.errors import ExpectedError
from training.fit.distributed import PATIENCE
from training.fit.finetune import finetune
from training.tasks import training_task

LOCAL = "local"  # an address: a cluster of this machine alone, for as long as the training takes
OF_RAY = ".ray"  # beside the runs: what Ray itself writes of them
MOST_LOSSES = 3  # of machines, after each of which a run goes on from its last checkpoint


def finetune_on_ray(recipe: Recipe, data_dir: Path, run_dir: Path, address: str, workers: int) -> None:
    """Have `workers` processes of a cluster call `finetune`, each on a GPU where there are as many.

    All machines find both folders, and the base where it is one, at the same paths. Raises `DataError` and
    `RecipeError` as `finetune` does, before any process starts; `RecipeError` where there is no such cluster,
    `ExpectedError` where the training fails there.
    """
    training_task(recipe.task).read_splits(recipe, data_dir)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.torch import TorchConfig, TorchTrainer
    except ImportError as error:
        raise RecipeError("--ray needs Ray: install the extra `ray`, in the clone: pip install -e '.[ray]'") from error
    options = {"include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address=address, configure_logging=False, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise RecipeError(
            f"--ray {address}: {said_by(error)}; start a cluster with `ray start --head`, or say {LOCAL}"
        ) from error
    try:
        TorchTrainer(
            work,
            train_loop_config={
                "recipe": recipe.model_dump_json(),
                "folders": [str(folder) for folder in (data_dir, run_dir)],
                "started_in": str(Path.cwd()),
            },
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=ray.cluster_resources().get("GPU", 0) >= workers),
            torch_config=TorchConfig(timeout_s=int(PATIENCE.total_seconds())),
            run_config=RunConfig(
                name=run_dir.name,
                storage_path=str(Path.cwd() / run_dir.parent / OF_RAY),
                failure_config=FailureConfig(max_failures=MOST_LOSSES),
            ),
        ).fit()
    except TrainingFailedError as error:
        raise ExpectedError(failure(error)) from error
    finally:
        ray.shutdown()


def failure(error: Exception) -> str:
    """Return why a training failed, in one sentence: the last line of what Ray tells of it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return f"the training on the Ray cluster failed: {lines[-1].rstrip('.')}; the same command goes on"


def work(given: dict[str, Any]) -> None:
    """Train in one of the processes, which Ray has joined and started in a folder of its own."""
    os.chdir(given["started_in"])  # paths are relative to it, those of bases and teachers too
    data_dir, run_dir = map(Path, given["folders"])
    finetune(Recipe.model_validate_json(given["recipe"]), data_dir, run_dir)
