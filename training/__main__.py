"""The command `roberta-train`."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from app.command_line.command import interrupted
from app.command_line.output import standard_output
from training.commands.verbs import COMMAND
from training.errors import refusal

CHATTY = ("httpx", "torch.onnx", "onnxscript", "onnx_ir", "datasets", "accelerate", "transformers")
RESUMED = {"finetune", "distil", "prune", "pretrain"}  # what goes on where it was interrupted


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb. What a user can mend is one sentence on standard error and exit status 1."""
    given = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # one for each file; training has its own
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # its lines are written twice, in the midst of rows
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with standard_output():
            result: str | int | None = COMMAND.run(given)
            if isinstance(result, str) and result:
                print(result)
    except KeyboardInterrupt:
        raise SystemExit(interrupted("roberta-train", stopped(given))) from None
    except Exception as error:
        if (sentence := refusal(error)) is None:
            raise
        raise SystemExit(f"roberta-train: {sentence}") from None
    if isinstance(result, int):
        raise SystemExit(result)


def stopped(arguments: Sequence[str]) -> str:
    goes_on = "; the same command goes on from the last checkpoint" if RESUMED.intersection(arguments[:1]) else ""
    return f"stopped{goes_on}"


if __name__ == "__main__":
    main()
