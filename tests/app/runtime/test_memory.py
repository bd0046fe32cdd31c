"""How much memory is left, and models that would take more of it."""

import pytest

from app.runtime import session
from app.runtime.memory import available_bytes
from app.runtime.session import SessionError, open_session
from app.serving.sources import read_folder
from app.settings import Settings
from tests.app.builders import write_bundle

MIB = 2**20


def write_files(folder, **files):
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)
    return folder


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 4000 * MIB),
        ({"memory_max": "max\n", "memory_current": "0\n", "memory_stat": "inactive_file 0\n"}, 4000 * MIB),
        (
            {
                "memory_max": f"{1000 * MIB}\n",
                "memory_current": f"{900 * MIB}\n",
                "memory_stat": f"anon 1\ninactive_file {50 * MIB}\n",
            },
            150 * MIB,
        ),
        (
            {
                "memory_max": f"{9000 * MIB}\n",
                "memory_current": "0\n",
                "memory_stat": "inactive_file 0\n",
            },
            4000 * MIB,
        ),
        ({"memory_max": "100\n", "memory_current": "900\n", "memory_stat": "inactive_file 0\n"}, 0),
    ],
    ids=["no container", "no limit", "a limit", "a limit above what there is", "used up"],
)
def test_a_container_may_have_less_than_the_system(files, expected, tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemTotal: 9999999 kB\nMemAvailable:   {4000 * 1024} kB\n")
    assert available_bytes(meminfo, write_files(tmp_path, **files)) == expected


def test_where_the_system_does_not_say_nothing_is_known(tmp_path):
    assert available_bytes(tmp_path / "nothing", tmp_path) is None


def test_a_model_that_is_larger_than_what_is_left_is_refused_by_name(monkeypatch, tmp_path, byte_level):
    bundle = read_folder(write_bundle(tmp_path, byte_level, name="toy"), name="toy", version=1)
    monkeypatch.setattr(session, "available_bytes", lambda: 16)
    with pytest.raises(SessionError, match=r"model\.fp32\.onnx has .* MiB of weights, more than the 0 MiB of memory"):
        open_session(bundle, "cpu", Settings(models=tmp_path))
    monkeypatch.setattr(session, "available_bytes", lambda: None)
    open_session(bundle, "cpu", Settings(models=tmp_path, idle_threads=1))
