"""The command `roberta-train`."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from training.config import Recipe, RecipeError, load_recipe
from training.data import DataError, read_documents
from training.export.heads import UnsupportedModelError
from training.export.material import GENERIC_TEXTS
from training.export.publish import Material, publish
from training.export.verify import VerificationError
from training.finetune import finetune

EXPECTED_ERRORS = (RecipeError, DataError, UnsupportedModelError, VerificationError)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb. What a user can mend is one sentence on standard error and exit status 1."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for chatty in ("httpx", "torch.onnx", "onnxscript", "onnx_ir", "datasets"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    try:
        bundle = options.verb(options)
    except EXPECTED_ERRORS as error:
        raise SystemExit(f"roberta-train: {error}") from None
    print(bundle)


def parser() -> argparse.ArgumentParser:
    """Return the command line: a subcommand for each verb."""
    root = argparse.ArgumentParser(prog="roberta-train", description="Fine-tune RoBERTa models and export them.")
    verbs = root.add_subparsers(required=True, metavar="VERB")

    train = verbs.add_parser("finetune", help="from a recipe to a verified, published bundle")
    train.add_argument("recipe", type=Path, help="TOML file, such as training/recipes/sentiment.toml")
    train.add_argument("--data", type=Path, default=Path(), help="folder that the recipe's files lie in")
    train.add_argument("--base", help="checkpoint to start from, folder or Hub id; overrides the recipe's")
    train.add_argument("--run-dir", type=Path, help="checkpoints go here, and a cut-off run goes on (runs/NAME)")
    train.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a recipe field")
    train.set_defaults(verb=run_finetune)

    export = verbs.add_parser("export", help="from a fine-tuned checkpoint to a verified, published bundle")
    export.add_argument("checkpoint", help="folder or Hub id of a fine-tuned encoder")
    export.add_argument("--name", required=True, help="name of the bundle")
    export.add_argument("--texts", type=Path, help="a text a line, .gz too: what int8 is calibrated on")
    export.add_argument("--precision", action="append", choices=["fp32", "int8", "fp16"], help="repeatable (int8)")
    export.add_argument("--max-length", type=int, default=512, help="tokens in a window (512)")
    export.set_defaults(verb=run_export)

    for verb in (train, export):
        verb.add_argument("--models", type=Path, default=Path("models"), help="where to publish (models)")
    return root


def run_finetune(options: argparse.Namespace) -> Path:
    """Train what the recipe says, unless that was done, and publish it."""
    overrides = dict(entry.split("=", 1) if "=" in entry else (entry, "") for entry in options.set)
    if options.base:
        overrides["base"] = options.base
    recipe = load_recipe(options.recipe, overrides)
    result = finetune(recipe, options.data, options.run_dir or Path("runs") / recipe.name)
    material = Material(
        checkpoint=str(result.checkpoint),
        texts=result.train_texts,
        validation=result.validation,
        test=result.test,
        training_seconds=round(result.seconds, 1),
    )
    return publish(recipe, material, options.models)


def run_export(options: argparse.Namespace) -> Path:
    """Publish a checkpoint that was trained elsewhere; there is nothing to score it on."""
    fields = {
        "name": options.name,
        "task": "text-classification",  # publishing takes the task from the checkpoint itself
        "base": options.checkpoint,
        "export": {"precisions": options.precision or ["int8"], "max_length": options.max_length},
    }
    try:
        recipe = Recipe.model_validate(fields)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise RecipeError(f"--{str(problem['loc'][-1]).replace('_', '-')}: {problem['msg']}") from None
    texts = read_documents(options.texts, recipe.export.calibration_texts) if options.texts else GENERIC_TEXTS
    return publish(recipe, Material(options.checkpoint, texts), options.models)


if __name__ == "__main__":
    main()
