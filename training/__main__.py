"""The command `roberta-train`."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from transformers.utils.logging import disable_progress_bar

from app.bundle import BundleError
from app.bundle.defaults import DefaultsError
from training.commands import check, convert, distil, evaluate, export, finetune, pretrain, prune, transplant
from training.config import RecipeError
from training.data import DataError
from training.encoders import UnsupportedModelError
from training.export.verify import VerificationError
from training.fit.checkpoints import TrainingError, refusal

VERBS = (check, finetune, evaluate, distil, prune, pretrain, transplant, convert, export)
EXPECTED_ERRORS = (
    RecipeError,
    DataError,
    TrainingError,
    UnsupportedModelError,
    VerificationError,
    BundleError,
    DefaultsError,
)
CHATTY = ("httpx", "torch.onnx", "onnxscript", "onnx_ir", "datasets", "accelerate")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb. What a user can mend is one sentence on standard error and exit status 1."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    disable_progress_bar()  # transformers draws one for each file it reads; training has its own
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        result: str | int = options.verb(options)
    except EXPECTED_ERRORS as error:
        raise SystemExit(f"roberta-train: {error}") from None
    except Exception as error:
        if (sentence := refusal(error)) is None:
            raise
        raise SystemExit(f"roberta-train: {sentence}") from None
    except KeyboardInterrupt:
        raise SystemExit("roberta-train: stopped; the same command goes on from the last checkpoint") from None
    if isinstance(result, int):
        raise SystemExit(result)
    if result:
        print(result)


def parser() -> argparse.ArgumentParser:
    """Return the command line: a subcommand for each verb."""
    root = argparse.ArgumentParser(prog="roberta-train", description="Fine-tune RoBERTa models and export them.")
    verbs = root.add_subparsers(required=True, metavar="VERB")
    for module in VERBS:
        module.add_parser(verbs)
    return root


if __name__ == "__main__":
    main()
