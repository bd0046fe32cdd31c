"""What a person sees of a training: its steps with loss and best score, and a line per evaluation."""

from __future__ import annotations

import logging

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.progress import count
from training.progress.steps import Counted, Steps

log = logging.getLogger(__name__)


class ShownSteps(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Counts the steps of the training in the row of its phase, and logs a line after each evaluation."""

    def __init__(self) -> None:
        self.counted: Counted | None = None
        self.loss: float | None = None

    @property
    def steps(self) -> Steps | None:
        return None if self.counted is None else self.counted.steps

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if state.is_world_process_zero:
            self.counted = count(state.max_steps, "steps", done=state.global_step)
            self.counted.__enter__()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if self.steps is not None:
            self.steps.advance(state.global_step - self.steps.done)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float],
        **kwargs: object,
    ) -> None:
        if self.steps is not None and "loss" in logs:
            self.loss = logs["loss"]
            self.steps.note = note(self.loss, args.metric_for_best_model, state.best_metric)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **kwargs: object,
    ) -> None:
        if self.steps is not None:
            log.info("%s", summary(state.epoch, self.loss, metrics))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if self.counted is not None:
            self.counted.__exit__()
            self.counted = None


def note(loss: float, metric: str | None, best: float | None) -> str:
    """Return what stands behind the steps: `loss 0.312, best accuracy 0.914`."""
    shown = f"loss {loss:.4g}"
    return shown if best is None or metric is None else f"{shown}, best {metric.removeprefix('eval_')} {best:.4g}"


def summary(epoch: float, loss: float | None, metrics: dict[str, float]) -> str:
    """Return a line such as `epoch 2: loss 0.312, accuracy 0.914, macro_f1 0.913`."""
    values = {} if loss is None else {"loss": loss}
    values |= {name.removeprefix("eval_"): value for name, value in metrics.items() if name.startswith("eval_")}
    return f"epoch {epoch:.4g}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items())
