"""Which verbs there are, and where each is: a further one is an entry here and a module or two."""

from __future__ import annotations

from app.command_line.command import Command, Verb

HERE = "app.commands"
VERBS = {
    "serve": Verb(
        "serve the models; also what is done where no verb is given",
        f"{HERE}.serve_flags:make_parser",
        f"{HERE}.serve:run",
    ),
    "predict": Verb(
        "answer every row of files, without a server", f"{HERE}.predict_flags:make_parser", f"{HERE}.predict:run"
    ),
    "pull": Verb(
        "put a model of the Hugging Face Hub into the models folder",
        f"{HERE}.models_folder:pull_parser",
        f"{HERE}.pull:run",
    ),
    "list": Verb("list what the models folder has", f"{HERE}.models_folder:list_parser", f"{HERE}.list:run"),
    "remove": Verb(
        "remove a model, or a version, from the models folder",
        f"{HERE}.models_folder:remove_parser",
        f"{HERE}.remove:run",
    ),
    "tune": Verb(
        "find the settings with which a model is fastest on this machine",
        f"{HERE}.tune:make_parser",
        f"{HERE}.tune:run",
    ),
    "health": Verb(
        "ask the service of this machine or container whether it is ready",
        f"{HERE}.health:make_parser",
        f"{HERE}.health:run",
    ),
    "new-key": Verb(
        "make a random API key, and its entry for api_keys_file",
        f"{HERE}.key_flags:new_key_parser",
        f"{HERE}.keys:make_key",
    ),
    "hash-key": Verb(
        "make the entry of an API key that exists", f"{HERE}.key_flags:hash_key_parser", f"{HERE}.keys:hash_key"
    ),
    "completion": Verb(
        "print the completion of this command for bash, zsh or fish",
        f"{HERE}.completion:make_parser",
        f"{HERE}.completion:run",
    ),
}
COMMAND = Command("roberta-serve", "Serve fine-tuned RoBERTa models.", VERBS, default="serve")
