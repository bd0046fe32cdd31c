"""What a person sees of a training: one bar with loss, best score and time left, and a line per evaluation."""

from __future__ import annotations

import logging
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

log = logging.getLogger(__name__)

# tqdm's own format is too wide for a terminal of 80 columns once loss and score are added.
BAR = "{percentage:3.0f}% {bar} {n_fmt}/{total_fmt}, {remaining} left{postfix}"


class ProgressBar(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """A bar over all steps of the training on a terminal, and a line in the log after each evaluation."""

    def __init__(self) -> None:
        self.bar: tqdm[Any] | None = None
        self.loss: float | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if state.is_world_process_zero:
            steps = {"total": state.max_steps, "initial": state.global_step}
            self.bar = tqdm(**steps, bar_format=BAR, dynamic_ncols=True, leave=False, disable=None)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if self.bar is not None:
            self.bar.update(state.global_step - self.bar.n)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float],
        **kwargs: object,
    ) -> None:
        if self.bar is not None and "loss" in logs:
            self.loss = logs["loss"]
            self.bar.set_postfix_str(postfix(self.loss, args.metric_for_best_model, state.best_metric))

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **kwargs: object,
    ) -> None:
        if self.bar is not None:
            self.bar.clear()
            log.info("%s", summary(state.epoch, self.loss, metrics))
            self.bar.refresh()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def postfix(loss: float, metric: str | None, best: float | None) -> str:
    """Return what stands behind the bar: `loss 0.312, best accuracy 0.914`."""
    shown = f"loss {loss:.4g}"
    return shown if best is None or metric is None else f"{shown}, best {metric.removeprefix('eval_')} {best:.4g}"


def summary(epoch: float, loss: float | None, metrics: dict[str, float]) -> str:
    """Return a line such as `epoch 2: loss 0.312, accuracy 0.914, macro_f1 0.913`."""
    values = {} if loss is None else {"loss": loss}
    values |= {name.removeprefix("eval_"): value for name, value in metrics.items() if name.startswith("eval_")}
    return f"epoch {epoch:.4g}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items())
