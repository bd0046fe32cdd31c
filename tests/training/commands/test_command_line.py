"""`roberta-train` answers help and mistakes at once: torch takes seconds, and is imported when there is work for it."""

import pytest

from app import __version__
from tests.app.commands.test_command_line import loaded_by
from tests.training.evaluation.test_comparing import write_report
from training.__main__ import main
from training.commands.verbs import VERBS
from training.reading import READINGS
from training.tasks import TASKS

NOT_TO_CHECK = {"torch", "transformers", "datasets", "onnx", "onnxruntime", "matplotlib"}
HEAVY = {"torch", "transformers", "datasets", "scipy", "onnx", "onnxruntime", "matplotlib"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--help"], "0", "from labeled text to a verified, published bundle"),
        ([], "0", "roberta-train VERB --help"),
        (["--version"], "0", f"roberta-train {__version__}"),
        (["finetune", "--help"], "0", "--run-dir FOLDER"),
        (["finetun"], "2", "there is no verb 'finetun'; did you mean finetune?"),
        (["finetune", "--tsk", "ner"], "2", "there is no flag --tsk; did you mean --task?"),
        (["finetune", "--task", "nre", "--train", "x.csv"], "1", "there is no task 'nre'; did you mean ner?"),
        (["finetune", "--task", "ner", "--train", "exampels/tickets.csv"], "1", "did you mean examples/tickets.csv?"),
        (["finetune", "no.toml"], "1", "no.toml: the recipe cannot be read"),
        (["evaluate", "models/sentimen/1", "--test", "README.md"], "1", "did you mean models/sentiment/1?"),
    ],
    ids=str,
)
def test_help_and_mistakes_are_answered_before_torch_is_imported(arguments, code, said):
    ended, output, modules = loaded_by("training", *arguments)
    assert ended == code
    assert said in output
    assert "Traceback" not in output
    assert modules.isdisjoint(HEAVY)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_what_reads_the_data_of_a_task_is_what_trains_it(task):
    assert isinstance(task, type(READINGS[task.name]))


@pytest.mark.parametrize("flags", [(), ("--json",), ("--fix", "{}/mended")], ids=["table", "json", "fix"])
def test_data_are_checked_without_torch(flags, tmp_path):
    (tmp_path / "train.csv").write_text("text,label\n" + "".join(f"film {n},{'pn'[n % 2]}\n" for n in range(60)))
    files = ("--train", "train.csv", "--data", str(tmp_path), "--base", "models/fill-mask")
    told = (flag.format(tmp_path) for flag in flags)
    ended, output, modules = loaded_by("training", "check", "--task", "classification", *files, *told)
    assert ended == "0"
    assert "tokens: median" in output
    assert modules.isdisjoint(NOT_TO_CHECK)


def test_runs_are_compared_without_torch(tmp_path):
    for name in ("one", "other"):
        write_report(tmp_path / name, [("p", "p"), ("n", "p")] * 20)
    ended, output, modules = loaded_by("training", "compare", str(tmp_path / "one"), str(tmp_path / "other"))
    assert ended == "0", output
    assert "may be chance" in output
    assert modules.isdisjoint(NOT_TO_CHECK)


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"roberta-train {name}" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_completes_verbs_and_flags(shell, capsys):
    main(["completion", shell])
    script = capsys.readouterr().out
    for word in ("finetune", "run-dir", "set-default"):
        assert word in script


def test_an_interrupt_is_one_sentence_and_exit_code_130(monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("training.commands.arguments.load_recipe", interrupt)
    monkeypatch.setattr("app.command_line.command.signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        main(["finetune", "--task", "ner", "--train", "x"])
    assert ended.value.code == 130
    said = "roberta-train: stopped; the same command goes on from the last checkpoint\n"
    assert capsys.readouterr().err == said
