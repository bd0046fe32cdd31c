"""What a person sees who mistypes: one sentence, at once, with what was probably meant."""

import re
import subprocess
import sys

import pytest

from app import __version__
from app.command_line.near import did_you_mean, nearest_path
from app.commands.serve import check_log_levels
from app.commands.serve_flags import make_parser
from app.commands.settings_flags import GROUPS
from app.commands.verbs import VERBS
from app.settings import Settings
from tests.app.commands.test_verbs import run

HEAVY = {"onnxruntime", "fastapi", "uvicorn", "huggingface_hub", "torch", "transformers", "structlog"}


def loaded_by(module, *arguments):
    """Run a command in a fresh interpreter; return its exit code, what it said, and what it has imported."""
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['x', *{list(arguments)!r}]\n"
        "try:\n"
        f"    runpy.run_module({module!r}, run_name='__main__')\n"
        "except SystemExit as ended:\n"
        "    print('ended', ended.code if isinstance(ended.code, (int, type(None))) else 1)\n"
        "    print(ended.code, file=sys.stderr)\n"
        "else:\n"
        "    print('ended', 0)\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    *said, ended, modules = done.stdout.splitlines()
    return ended.removeprefix("ended "), "\n".join([*said, done.stderr]), set(modules.split())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--help"], "0", "--max-queue-tokens"),
        (["--version"], "0", f"roberta-serve {__version__}"),
        (["--prot", "80"], "2", "there is no flag --prot; did you mean --port?"),
        (["predict", "m", "x.csv", "--txt-column", "a"], "2", "did you mean --text-column?"),
        (["pul", "a/b"], "2", "there is no verb 'pul'; did you mean pull?"),
    ],
    ids=str,
)
def test_help_and_wrong_flags_are_answered_before_anything_heavy_is_imported(arguments, code, said):
    ended, output, modules = loaded_by("app", *arguments)
    assert ended == code
    assert said in output
    assert "Traceback" not in output
    assert not modules & HEAVY


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--log-formt", "json"], "there is no flag --log-formt; did you mean --log-format?"),
        (["--qqq", "1"], "there is no flag --qqq; `roberta-serve --help` lists them"),
        (["serve", "more"], "'more' is one argument too many"),
        (["--log-format", "jsn"], "--log-format: 'jsn' is none of auto, json, console; did you mean json?"),
        (["--port"], "--port: a value is missing"),
        (["completion", "fsh"], "shell: 'fsh' is none of bash, zsh, fish; did you mean fish?"),
        (["new-key", "a", "--requests-per-s", "x"], "--requests-per-s: 'x' is not a number"),
        (["remove"], "give MODEL; `roberta-serve remove --help` says more"),
    ],
    ids=str,
)
def test_a_wrong_flag_is_one_sentence(arguments, sentence, monkeypatch, capsys):
    assert run(monkeypatch, *arguments) == 2
    assert capsys.readouterr().err == f"roberta-serve: {sentence}\n"


def test_a_module_of_the_log_that_is_not_there_ends_the_start():
    settings = make_parser().read(["--log-levels", "app.engin=debug"])
    with pytest.raises(SystemExit, match=r"log_levels: app.engin: there is no such module; did you mean app.engine\?"):
        check_log_levels(settings)


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_has_a_version_and_a_word_for_each_value(name, monkeypatch, capsys):
    assert run(monkeypatch, name, "--version") == 0
    assert __version__ in capsys.readouterr().out
    run(monkeypatch, name, "--help")
    shown = capsys.readouterr().out
    assert not re.search(r"--[\w-]+ (list|dict|bool|int|str|Path)\b|SecretStr|default factory|default: None", shown)


def test_the_flags_of_serve_stand_in_groups():
    assert {name for names in GROUPS.values() for name in names} <= set(Settings.model_fields)
    help_text = make_parser().format_help()
    for title in GROUPS:
        assert f"\n{title}:\n" in help_text
    assert "--log-requests" in help_text


def test_levels_by_module_are_given_by_a_flag_as_its_word_says():
    assert "--log-levels MODULE=LEVEL" in make_parser().format_help()
    assert make_parser().read(["--log-levels", "app.engine=debug"]).log_levels == {"app.engine": "debug"}


def test_requests_are_logged_by_a_flag_that_says_so():
    assert make_parser().read(["--log-requests"]).access_log
    assert make_parser().read(["--access-log"]).access_log


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_completes_verbs_flags_and_values(shell, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["roberta-serve", "completion", shell])
    from app.__main__ import main

    main()
    script = capsys.readouterr().out
    for word in ("predict", "new-key", "max-queue-tokens", "log-requests", "warning"):
        assert word in script


def test_bash_completes_a_verb_and_its_flags(tmp_path):
    script = subprocess.run(
        [sys.executable, "-m", "app", "completion", "bash"], capture_output=True, text=True, check=True
    ).stdout
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_the_nearest_name_is_suggested_and_else_what_there_is():
    assert did_you_mean("sentimnt", ["sentiment", "ner"]) == "; did you mean sentiment?"
    assert did_you_mean("x", ["sentiment"], "there is sentiment") == "; there is sentiment"
    assert did_you_mean("x", ["sentiment"]) == ""


def test_the_nearest_folder_is_suggested_wherever_the_path_leaves_what_there_is(tmp_path):
    (tmp_path / "models" / "sentiment" / "1").mkdir(parents=True)
    assert nearest_path(tmp_path / "models" / "sentimnt" / "1") == tmp_path / "models" / "sentiment" / "1"
    assert nearest_path(tmp_path / "model" / "sentiment") == tmp_path / "models" / "sentiment"
    assert nearest_path(tmp_path / "models" / "q") is None
    assert nearest_path(tmp_path) is None
