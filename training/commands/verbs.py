"""Which verbs there are, and where each is: a further one is an entry here, a parser in `flags.py` and a module."""

from __future__ import annotations

from app.command_line.command import Command, Verb

FLAGS = "training.commands.flags"
SUMMARIES = {
    "check": "what is wrong with labeled text, before training on it",
    "finetune": "from labeled text to a verified, published bundle",
    "evaluate": "from a bundle or a checkpoint, and labeled data, to a report",
    "compare": "whether one run or report is better than another, and the texts that they answer otherwise",
    "distil": "from a teacher to a student with fewer layers, evenly spaced, that learns its answers",
    "prune": "from a teacher to a student without its least important layers and neurons",
    "pretrain": "a masked language model from text: continued, warm-started or from nothing",
    "transplant": "a RoBERTa of one encoder's layers and another's vocabulary",
    "convert": "from pickled weights (pytorch_model.bin) to safetensors",
    "export": "from a fine-tuned checkpoint to a verified, published bundle",
}
VERBS = {
    name: Verb(summary, f"{FLAGS}:{name}_parser", f"training.commands.{name}:run")
    for name, summary in SUMMARIES.items()
} | {
    "completion": Verb(
        "print the completion of this command for bash, zsh or fish",
        "training.commands.completion:make_parser",
        "training.commands.completion:run",
    )
}
COMMAND = Command("roberta-train", "Fine-tune RoBERTa models and export them.", VERBS)
