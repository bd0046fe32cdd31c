"""The parser of each verb. Nothing here imports torch: help and wrong flags are answered at once."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from app.command_line.parser import Parser
from training.commands.arguments import (
    VerbParser,
    add_data_argument,
    add_publish_arguments,
    add_recipe_arguments,
    add_run_arguments,
    add_set_argument,
    check_files,
    check_finetune,
    check_models,
    hint_for,
    recipe_of,
)
from training.commands.recipes import (
    compression_recipe,
    evaluation_recipe,
    export_recipe,
    pretraining_recipe,
)
from training.config import RecipeError

PRECISIONS = ("fp32", "int8", "fp16")


def check_parser() -> Parser:
    parser = VerbParser(
        "check",
        """Say what is wrong with labeled text, before training on it. The exit status is 1 where training would stop.

  roberta-train check --task classification --train train.csv
  roberta-train check --task classification --train train.csv --fix mended""",
        recipe_of,
    )
    add_recipe_arguments(parser)
    group = parser.add_argument_group("what comes of it")
    group.add_argument("--json", action="store_true", help="print the findings as JSON")
    described = "write the splits into a folder, without the rows that can only be left out"
    group.add_argument("--fix", metavar="FOLDER", type=Path, help=described)
    return parser


def finetune_parser() -> Parser:
    parser = VerbParser(
        "finetune",
        """From labeled text to a verified, calibrated, published bundle and a report.

  roberta-train finetune --task classification --train train.csv --name tickets
  roberta-train finetune my-recipe.toml --data DATA --set training.epochs=5""",
        check_finetune,
    )
    add_recipe_arguments(parser)
    add_run_arguments(parser)
    group = parser.add_argument_group("where it trains, if not in this process")
    described = "on the machines of a Ray cluster: auto, HOST:PORT of its head, or local"
    group.add_argument("--ray", metavar="ADDRESS", help=described)
    group.add_argument("--workers", metavar="N", type=int, help="processes there, one for each GPU (1)")
    return parser


def evaluate_parser() -> Parser:
    parser = VerbParser(
        "evaluate",
        """Score a bundle or a checkpoint on labeled data, and write a report.

  roberta-train evaluate models/sentiment/1 --test new.csv""",
        check_evaluation,
    )
    described = "folder of a bundle, such as models/sentiment/1, or a checkpoint, folder or Hub id"
    parser.add_argument("model", metavar="MODEL", help=described)
    parser.add_argument("--test", metavar="FILE", help="labeled examples to score")
    add_data_argument(parser, "folder that the file lies in")
    parser.add_argument("--precision", action="append", choices=PRECISIONS, help="of a bundle; repeatable (all)")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="where the report goes (reports/NAME)")
    add_set_argument(parser)
    return parser


def check_evaluation(options: Namespace) -> None:
    check_files(evaluation_recipe(options).data, options.data)
    model = Path(options.model)
    if not model.exists() and (len(model.parts) > 2 or model.is_absolute()):
        raise RecipeError(f"there is no folder {model}{hint_for(model)}")


def compare_parser() -> Parser:
    parser = VerbParser(
        "compare",
        """Say whether one run is better than another on the same examples, and which texts they answer otherwise.

  roberta-train compare runs/intents runs/intents-balanced""",
        check_compared,
    )
    for name in ("before", "after"):
        described = "folder of a run or of a report; reports of the same test split"
        parser.add_argument(name, metavar="RUN", type=Path, help=described)
    parser.add_argument("--variant", metavar="NAME", help="graph to compare, such as int8 (the first of each)")
    parser.add_argument("--most", metavar="N", type=int, default=20, help="texts that are shown of each kind (20)")
    parser.add_argument("--json", action="store_true", help="print it as JSON, with every text")
    return parser


def check_compared(options: Namespace) -> None:
    for folder in (options.before, options.after):
        if not folder.is_dir():
            raise RecipeError(f"{folder}: there is no such folder{hint_for(folder)}")


def distil_parser() -> Parser:
    return compression_parser(
        "distil",
        """From a trained teacher and labeled text to a smaller, published bundle: every k-th layer of the teacher,
trained on its answers and the labels.

  roberta-train distil my-recipe.toml --data DATA --teacher runs/intents/checkpoint --layers 3 --name intents-small""",
    )


def prune_parser() -> Parser:
    return compression_parser(
        "prune",
        """From a trained teacher, less its least important layers and neurons, to a smaller, published bundle.

  roberta-train prune my-recipe.toml --data DATA --teacher runs/intents/checkpoint --layers 4 --name intents-thin""",
    )


def compression_parser(verb: str, description: str) -> Parser:
    parser = VerbParser(verb, description, check_compression)
    add_recipe_arguments(parser)
    add_run_arguments(parser)
    student = parser.add_argument_group("student", "these override the recipe's section distillation")
    described = "checkpoint that was trained for the same labels, folder or Hub id"
    student.add_argument("--teacher", metavar="MODEL", help=described)
    student.add_argument("--layers", metavar="N", help="layers that the student keeps (all)")
    student.add_argument("--feed-forward", metavar="N", help="width of its feed-forward blocks (the teacher's)")
    student.add_argument("--temperature", metavar="T", help="divides the logits before they are compared (2)")
    student.add_argument("--weight", metavar="W", help="share of the teacher's answers in the loss, 0 to 1 (0.5)")
    return parser


def check_compression(options: Namespace) -> None:
    recipe = compression_recipe(options, "spaced")
    check_files(recipe.data, options.data)
    check_models(options.models)


def pretrain_parser() -> Parser:
    parser = VerbParser(
        "pretrain",
        """From unlabeled text to a base, published as a fill-mask bundle.

  roberta-train pretrain my-pretraining.toml --data DATA --base roberta-base""",
        check_pretraining,
    )
    parser.add_argument("recipe", metavar="RECIPE", type=Path, help="TOML file, such as training/recipes/base.toml")
    add_data_argument(parser, "folder that the recipe's files lie in")
    described = "checkpoint to go on from, folder or Hub id; overrides the recipe's"
    parser.add_argument("--base", metavar="MODEL", help=described)
    add_set_argument(parser)
    add_run_arguments(parser)
    return parser


def check_pretraining(options: Namespace) -> None:
    pretraining_recipe(options)
    check_models(options.models)


def transplant_parser() -> Parser:
    parser = VerbParser("transplant", "Make a RoBERTa of one encoder's layers and another's vocabulary.", check_new)
    described = "folder or Hub id of the encoder whose transformer is taken"
    parser.add_argument("--body", metavar="MODEL", required=True, help=described)
    described = "folder or Hub id whose byte-level BPE is taken"
    parser.add_argument("--tokenizer", metavar="MODEL", required=True, help=described)
    described = "folder to write the checkpoint to"
    parser.add_argument("--out", metavar="FOLDER", type=Path, required=True, help=described)
    return parser


def check_new(options: Namespace) -> None:
    if options.out.exists():
        raise RecipeError(f"{options.out} exists; name a folder that does not, or delete it")


def convert_parser() -> Parser:
    parser = VerbParser("convert", "From pickled weights, which nothing here loads, to safetensors.")
    parser.add_argument("checkpoint", metavar="FOLDER", type=Path, help="folder with pytorch_model.bin")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="where to write (the folder itself)")
    return parser


def export_parser() -> Parser:
    parser = VerbParser(
        "export",
        """From a checkpoint that was trained elsewhere to a verified, published bundle.

  roberta-train export ORG/NAME --name search --texts texts.txt""",
        check_export,
    )
    parser.add_argument("checkpoint", metavar="MODEL", help="folder or Hub id of a fine-tuned encoder")
    described = "TOML file, such as training/recipes/embedding.toml"
    parser.add_argument("recipe", metavar="RECIPE", type=Path, nargs="?", help=described)
    parser.add_argument("--name", metavar="NAME", help="name of the bundle")
    described = "a text a line, .gz too: what int8 is calibrated on"
    parser.add_argument("--texts", metavar="FILE", type=Path, help=described)
    parser.add_argument("--precision", action="append", choices=PRECISIONS, help="repeatable (int8)")
    parser.add_argument("--max-length", metavar="N", type=int, help="tokens in a window (512)")
    parser.add_argument("--validation", metavar="FILE", help="labeled examples that bound what int8 may lose")
    parser.add_argument("--test", metavar="FILE", help="labeled examples to score")
    add_data_argument(parser, "folder that the files lie in")
    add_set_argument(parser, "such as task_settings.pooling=first; repeatable")
    add_publish_arguments(parser)
    return parser


def check_export(options: Namespace) -> None:
    check_files(export_recipe(options).data, options.data)
