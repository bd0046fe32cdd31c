"""A command that was ended anyhow goes on, and ends with what one whole run writes, byte for byte."""

import gzip
import os
import random

import pytest

from app.bulk import resuming
from app.bulk.errors import BulkError
from app.bulk.resuming import Partial
from app.bulk.rows import START, Position

ROWS = 900


class Killed(BaseException):
    """The end of a process, at any place."""


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of about a hundred rows, each followed by a state."""
    monkeypatch.setattr("app.bulk.predicting.BATCHES_IN_CHUNK", 1)
    monkeypatch.setattr(resuming, "COMMIT_S", 0.0)


@pytest.fixture
def inputs(tmp_path):
    rng = random.Random(0)
    texts = [" ".join(rng.choices(["good", "play", "paris", "a"], k=rng.randint(1, 20))) for _ in range(ROWS)]
    csv = "".join(f'{number},"{text}\nb"\n' if number % 7 else f'{number},"open\n' for number, text in enumerate(texts))
    (tmp_path / "a.csv").write_text(f"id,text\n{csv}")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(f"id,text\n{csv}".encode()))
    return ["a.csv", "b.csv.gz"]


def kill_after(monkeypatch, chunks):
    """End the command in the middle of writing a later chunk, as kill -9 would: half of a row is there."""
    append, left = Partial.append, iter(range(chunks))

    def cut(self, content, *rest):
        if next(left, None) is None:
            with self.rows.open("ab") as torn:
                torn.write(content[: len(content) // 2])
            raise Killed
        append(self, content, *rest)

    monkeypatch.setattr(Partial, "append", cut)
    monkeypatch.setattr(Partial, "commit", commit_but_not_at_the_end(Partial.commit, left))


def commit_but_not_at_the_end(commit, left):
    def call(self, **how):
        if left.__length_hint__():
            commit(self, **how)

    return call


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl.gz", "out.parquet"])
def test_the_output_is_that_of_one_whole_run(predict, inputs, tmp_path, small_chunks, monkeypatch, capsys, name):
    assert predict(*inputs, "-o", f"whole.{name}") == 0
    for chunks in (1, 3, 4):
        killed(predict, monkeypatch, chunks, *inputs, "-o", name)
        assert not (tmp_path / name).exists()
    capsys.readouterr()
    assert predict(*inputs, "-o", name) == 0
    assert "going on after" in capsys.readouterr().err
    assert (tmp_path / name).read_bytes() == (tmp_path / f"whole.{name}").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*inputs, name, f"whole.{name}"])


def killed(predict, monkeypatch, chunks, *arguments):
    """Run a command that is killed after a few chunks."""
    with monkeypatch.context() as patch:
        kill_after(patch, chunks)
        with pytest.raises(Killed):
            predict(*arguments)


@pytest.fixture
def begun(predict, inputs, small_chunks, monkeypatch):
    killed(predict, monkeypatch, 3, inputs[0], "-o", "out.csv")
    return inputs[0]


def test_another_input_model_or_parameter_is_refused(predict, begun, tmp_path, capsys):
    assert predict(begun, "-o", "out.csv", "--top-k", "1") == 1
    assert "was begun with another parameters; remove it, or add --restart" in capsys.readouterr().err
    assert predict(begun, "-o", "out.csv", "--max-batch-tokens", "64") == 1
    assert "another model" in capsys.readouterr().err
    os.utime(tmp_path / begun)
    with (tmp_path / begun).open("a") as more:
        more.write("9,late\n")
    assert predict(begun, "-o", "out.csv") == 1
    assert "another input" in capsys.readouterr().err
    assert predict(begun, "-o", "out.csv", "--restart") == 0


def test_an_input_of_another_time_or_name_is_the_same(predict, begun, tmp_path, capsys):
    os.utime(tmp_path / begun, (1, 1))
    (tmp_path / begun).rename(tmp_path / "renamed.csv")
    assert predict("renamed.csv", "-o", "out.csv") == 0
    assert "going on" in capsys.readouterr().err


def test_what_is_lost_or_not_understood_is_said(predict, begun, tmp_path, capsys):
    (tmp_path / "out.csv.partial" / "rows").write_bytes(b"")
    assert predict(begun, "-o", "out.csv") == 1
    assert "has lost rows" in capsys.readouterr().err
    (tmp_path / "out.csv.partial" / "state.json").write_text("{")
    assert predict(begun, "-o", "out.csv") == 1
    assert "is not understood" in capsys.readouterr().err


def test_an_input_that_changes_while_it_is_read_is_said(predict, inputs, tmp_path, small_chunks, monkeypatch, capsys):
    append = Partial.append

    def touch(self, *rest):
        os.utime(tmp_path / "a.csv")
        append(self, *rest)

    monkeypatch.setattr(Partial, "append", touch)
    assert predict("a.csv", "-o", "out.csv") == 1
    assert "an input changed while it was read" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


def partial_of(tmp_path):
    return Partial(tmp_path / "out.csv", {"input": "1"})


def test_two_commands_do_not_write_one_output(tmp_path):
    with (
        partial_of(tmp_path),
        pytest.raises(BulkError, match="is being written by another command"),
        partial_of(tmp_path),
    ):
        pass


def test_a_kill_between_the_last_state_and_the_name_loses_nothing(tmp_path):
    with partial_of(tmp_path) as partial:
        partial.append(b"all rows\n", Position(0, 9, 1), 1, 0)
        partial.commit(is_whole=True)
    with partial_of(tmp_path) as partial:
        assert partial.state.is_whole
        partial.finish(lambda rows: rows)
    assert (tmp_path / "out.csv").read_bytes() == b"all rows\n"


def test_a_kill_before_the_folder_is_removed_leaves_the_output(tmp_path):
    with partial_of(tmp_path) as partial:
        partial.append(b"all rows\n", Position(0, 9, 1), 1, 0)
        partial.commit(is_whole=True)
        partial.rows.rename(tmp_path / "out.csv")
    with partial_of(tmp_path) as partial:
        partial.finish(lambda rows: rows)
    assert (tmp_path / "out.csv").read_bytes() == b"all rows\n"
    assert not partial.folder.exists()


def test_a_full_disk_is_said_and_what_is_whole_is_kept(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with partial_of(tmp_path) as partial:
        partial.append(b"one row\n", Position(0, 8, 1), 1, 0)
        partial.commit()
        monkeypatch.setattr(resuming, "replace_file", full)
        monkeypatch.setattr(resuming, "COMMIT_S", 0.0)
        with pytest.raises(BulkError, match="No space left on device"):
            partial.append(b"another\n", Position(0, 16, 2), 1, 0)
    with partial_of(tmp_path) as partial:
        assert partial.state.position == Position(0, 8, 1)
        assert partial.rows.read_bytes() == b"one row\n"


def test_a_state_begins_at_the_beginning(tmp_path):
    with partial_of(tmp_path) as partial:
        assert partial.state.position == START
