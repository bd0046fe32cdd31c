"""What a service that cannot start says: one sentence, at once, that ends with what to do next."""

from __future__ import annotations

import socket

import pytest

from app.api.listener import bind_admin_or_end, bind_main_or_end
from app.settings import Settings
from tests.app.commands.test_verbs import run


@pytest.fixture
def folder(tmp_path):
    """A folder with the models folder `models`, in which `sentiment` has a version 2, and files that are no models."""
    bundle = tmp_path / "models" / "sentiment" / "2"
    bundle.mkdir(parents=True)
    (bundle / "manifest.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("notes")
    return tmp_path


REFUSED = {
    "no folder, one almost called so": (
        ["--models", "{}/modles"],
        "there is no folder {}/modles; did you mean --models {}/models?",
    ),
    "no folder": (
        ["--models", "{}/q"],
        "there is no folder {}/q; name another with --models, or serve a model of the Hub with --model ORG/NAME",
    ),
    "a file": (["--models", "{}/notes.txt"], "{}/notes.txt is a file; give the folder of models with --models"),
    "a name that no folder can have": (
        ["--models", f"{{}}/{'a' * 300}"],
        f"{{}}/{'a' * 300}: File name too long; give a folder that can be read with --models",
    ),
    "a bundle": (
        ["--models", "{}/models/sentiment/2"],
        "{}/models/sentiment/2 is itself a model, not a folder of models; "
        "give --models {}/models, or --model sentiment={}/models/sentiment/2",
    ),
    "the versions of a bundle": (
        ["--models", "{}/models/sentiment"],
        "{}/models/sentiment has the versions of one model; "
        "give --models {}/models, or --model sentiment={}/models/sentiment/2",
    ),
    "a default that is almost one": (
        ["--models", "{}/models", "--default-models", "classify=sentimnt"],
        "default_models: /classify is to be answered by 'sentimnt', which is not there; did you mean sentiment?",
    ),
    "a default that is none": (
        ["--models", "{}/models", "--default-models", "classify=q"],
        "default_models: /classify is to be answered by 'q', which is not there; "
        "give one that there is in {}/models: sentiment",
    ),
    "a version that is none": (
        ["--models", "{}/models", "--default-models", "classify=sentiment:3"],
        "default_models: /classify is to be answered by sentiment:3; give a version that sentiment has: 2",
    ),
    "a file of keys that is none": (
        ["--models", "{}/models", "--api-keys-file", "{}/keys.toml"],
        "api_keys_file {}/keys.toml cannot be read: No such file or directory; "
        "write it with `roberta-serve new-key NAME >> FILE`, and give it with --api-keys-file",
    ),
    "a file of keys that has none": (
        ["--models", "{}/models", "--api-keys-file", "{}/notes.txt"],
        "api_keys_file {}/notes.txt is not TOML (at end of document); "
        "write it with `roberta-serve new-key NAME >> FILE`, and give it with --api-keys-file",
    ),
    "a certificate that is none": (
        ["--models", "{}/models", "--ssl-certfile", "{}/cert.pem"],
        "ssl_certfile {}/cert.pem: No such file or directory; give a PEM file that can be read with --ssl-certfile",
    ),
}


@pytest.mark.parametrize("shape", ["0", "2"], ids=["one process", "workers"])
@pytest.mark.parametrize(("flags", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_served_is_said_before_anything_starts(flags, sentence, shape, folder, monkeypatch, capsys):
    code = run(monkeypatch, *(flag.replace("{}", str(folder)) for flag in flags), "--http-workers", shape)
    assert code == f"roberta-serve: {sentence.replace('{}', str(folder))}"  # which the interpreter prints, with code 1
    assert capsys.readouterr() == ("", "")


def test_a_folder_of_models_whose_names_are_numbers_is_one(folder, monkeypatch):
    monkeypatch.setattr("app.commands.serve.serve_in_one_process", lambda *_: None)
    (folder / "models" / "sentiment").rename(folder / "models" / "7")
    monkeypatch.setattr("sys.argv", ["roberta-serve", "--models", str(folder / "models")])
    from app.__main__ import main

    main()


def test_a_port_that_is_taken_says_how_to_get_another():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as ended:
            bind_main_or_end(Settings(host="127.0.0.1", port=port))
        with pytest.raises(SystemExit, match="give another port with --admin-port "):
            bind_admin_or_end(Settings(host="127.0.0.1", port=0), port)
    assert str(ended.value) == (
        f"roberta-serve: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "end what listens there, or give another port with --port (0: any that is free)"
    )


def test_an_address_of_another_machine_says_so():
    with pytest.raises(SystemExit, match=r"give an address of this machine with --host, such as 127\.0\.0\.1$"):
        bind_main_or_end(Settings(host="192.0.2.1", port=0))
