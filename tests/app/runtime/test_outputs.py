"""Which outputs of a graph are read, and several of them as the columns of one."""

import numpy as np
import pytest

from app.runtime.cpu.session import CpuSession
from app.serving.sources import read_folder
from app.window import Window
from tests.app.builders import write_hub_folder
from tests.support.reader_graph import NAMES, TABLES, reader_graph


@pytest.fixture(scope="module")
def folder(byte_level, tmp_path_factory):
    path = tmp_path_factory.mktemp("hub") / "reader"
    write_hub_folder(path, byte_level, {"architectures": ["RobertaForQuestionAnswering"]}, graph=reader_graph())
    return path


def test_two_arrays_are_two_columns(folder):
    bundle = read_folder(folder, name="reader", version=1)
    assert bundle.manifest.task == "question-answering"
    session = CpuSession(bundle, "fp32")
    assert session.width == 2
    windows = [Window(np.arange(5, 5 + length), np.arange(1, length)) for length in (3, 6)]
    for window, rows in zip(windows, session.run(windows), strict=True):
        ids = window.input_ids[window.head_rows]
        assert rows.tolist() == np.stack([TABLES[name][ids] for name in NAMES], axis=1).tolist()
