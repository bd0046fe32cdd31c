"""What loads is served; what does not is refused by name with its reason, and keeps no other from being served."""

import re
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from app.errors import ModelNotFoundError, NotReadyError
from app.serving.sources import read_folder
from tests.app.builders import TABLE, toy_graph, toy_probe, write_bundle, write_hub_folder
from tests.app.registries import load, make_registry, reason, states

# --- Refusals -------------------------------------------------------------------------------------------


def test_before_the_first_load_nothing_is_ready(tmp_path):
    registry = make_registry(tmp_path)
    with pytest.raises(NotReadyError, match="still loading"):
        registry.find("classify", None)
    assert registry.entries == []


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_without_a_model_it_says_so(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotReadyError, match=f"no model under {folder}/ could be loaded"):
        load(tmp_path / folder).check_ready()


def test_a_corrupted_newest_version_gives_way_to_the_older_one(tmp_path, byte_level):
    write_bundle(tmp_path, byte_level)
    newest = write_bundle(tmp_path, byte_level)
    (newest / "model.fp32.onnx").write_bytes(b"half")
    registry = load(tmp_path)
    assert states(registry) == {"toy": "toy:1"}
    assert "model.fp32.onnx was altered or half-copied" in reason(registry, version=2)
    assert registry.metrics.get_sample_value("roberta_model_load_failures_total", {"model": "toy"}) == 1
    assert registry.metrics.get_sample_value("roberta_model_versions_refused", {"model": "toy"}) == 1


def test_the_counter_of_failures_is_shown_at_zero_before_the_first(tmp_path, byte_level, monkeypatch):
    """Prometheus sees an increase only where it has seen the series before."""
    (tmp_path / "bad").mkdir()
    registry, before = make_registry(tmp_path), []

    def read(path, *, name, version):
        before.append(registry.metrics.get_sample_value("roberta_model_load_failures_total", {"model": name}))
        return read_folder(path, name=name, version=version)

    monkeypatch.setattr("app.serving.loading.read_folder", read)
    registry.load()
    assert before == [0]
    assert registry.metrics.get_sample_value("roberta_model_load_failures_total", {"model": "bad"}) == 1


def test_a_model_that_never_loads_keeps_no_other_from_being_served(tmp_path, byte_level, monkeypatch):
    """As where its graph does not end on the first window."""
    write_bundle(tmp_path, byte_level)
    registry, may_end = load(tmp_path), threading.Event()
    write_bundle(tmp_path, byte_level, name="stuck")
    monkeypatch.setattr("app.serving.loading.load_model", lambda *_: may_end.wait(60))
    registry.loader._patience.limit_s = 0.05
    for reason_of_it in ("did not load and answer within 0.05 s", "an earlier load of its folder has not ended"):
        registry.load()
        assert states(registry) == {"stuck": "failed", "toy": "toy:1"}
        assert reason_of_it in reason(registry, "stuck")
    may_end.set()


def write_graph_bundle(folder, byte_level, graph):
    write_bundle(folder, byte_level, name="bad", graph=graph)


def garbage(folder, byte_level):
    """A graph whose hash is right and which is no graph."""
    write_hub_folder(folder / "bad", byte_level)
    (folder / "bad" / "model.onnx").write_bytes(b"no graph")


def unknown_input(folder, byte_level):
    graph = toy_graph()
    graph.graph.input[1].name = graph.graph.node[1].input[1] = "pixel_values"
    write_graph_bundle(folder, byte_level, graph)


def small_vocabulary(folder, byte_level):
    """A graph that fails on every text."""
    write_graph_bundle(folder, byte_level, toy_graph(TABLE[:4]))


def wrong_width(folder, byte_level):
    write_graph_bundle(folder, byte_level, toy_graph(np.tile(TABLE, 2)))


def bad_tokenizer(folder, byte_level):
    write_hub_folder(folder / "bad", byte_level)
    (folder / "bad" / "tokenizer.json").write_text('{"version": "9"}')


def bad_config(folder, byte_level):
    write_hub_folder(folder / "bad", byte_level, {"max_position_embeddings": None})


def empty_folder(folder, byte_level):
    (folder / "bad").mkdir()


def no_vocabulary_head(folder, byte_level):
    write_hub_folder(folder / "bad", byte_level, {"architectures": ["RobertaForMaskedLM"], "vocab_size": 320})


def no_mask_token(folder, byte_level):
    write_hub_folder(folder / "bad", byte_level, {"architectures": ["RobertaForMaskedLM"]})
    file = folder / "bad" / "tokenizer.json"
    file.write_text(file.read_text().replace("<mask>", "<blank>"))


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (garbage, r"model\.onnx is not an ONNX graph"),
        (unknown_input, "inputs that no packed batch provides: pixel_values"),
        (small_vocabulary, "the graph does not run"),
        (wrong_width, "the graph answers 6 columns where /classify needs 3"),
        (bad_tokenizer, r"tokenizer\.json cannot be used"),
        (bad_config, "max_position_embeddings"),
        (empty_folder, r"config\.json is missing"),
        (no_vocabulary_head, "the graph answers 3 columns where /fill-mask needs 320"),
        (no_mask_token, "the tokenizer has no mask token"),
    ],
)
def test_one_broken_bundle_is_refused_by_name_and_the_others_are_served(write, expected, tmp_path, byte_level):
    write_bundle(tmp_path, byte_level, name="a")
    write(tmp_path, byte_level)
    write_bundle(tmp_path, byte_level, name="c")
    registry = load(tmp_path)
    assert states(registry) == {"a": "a:1", "bad": "failed", "c": "c:1"}
    assert re.search(expected, reason(registry, "bad"))
    with pytest.raises(ModelNotFoundError):
        registry.find("classify", "bad")


def test_a_defect_in_loading_one_bundle_does_not_stop_the_others(tmp_path, byte_level, monkeypatch):
    def read(path, *, name, version):
        if name == "bad":
            raise RuntimeError("nobody thought of this")
        return read_folder(path, name=name, version=version)

    monkeypatch.setattr("app.serving.loading.read_folder", read)
    write_bundle(tmp_path, byte_level, name="bad")
    write_bundle(tmp_path, byte_level, name="good")
    registry = load(tmp_path)
    assert states(registry) == {"bad": "failed", "good": "good:1"}
    assert "nobody thought of this" in reason(registry, "bad")


def test_a_folder_that_cannot_be_read_does_not_stop_the_others(tmp_path, byte_level, monkeypatch):
    """Root may read everything, so the file system cannot be what refuses."""
    listing = Path.iterdir

    def iterdir(path):
        if path.name == "bad":
            raise PermissionError(13, "Permission denied")
        return listing(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    (tmp_path / "bad").mkdir()
    write_bundle(tmp_path, byte_level, name="good")
    assert states(load(tmp_path)) == {"bad": "failed", "good": "good:1"}


def test_a_stop_ends_a_load_with_the_bundles_it_has_begun_and_publishes_nothing(tmp_path, byte_level, monkeypatch):
    monkeypatch.setattr("app.serving.loading.available_cores", lambda: 1)
    registry, read = make_registry(tmp_path), []

    def stop_while_reading(path, *, name, version):
        read.append(name)
        registry.loader.stop()
        return read_folder(path, name=name, version=version)

    monkeypatch.setattr("app.serving.loading.read_folder", stop_while_reading)
    for name in ("a", "b", "c"):
        write_bundle(tmp_path, byte_level, name=name)
    registry.load()
    assert read == ["a"]
    assert registry.entries == []


def test_a_models_folder_that_cannot_be_read_is_said_and_what_is_served_stays(tmp_path, byte_level, monkeypatch):
    write_bundle(tmp_path, byte_level)
    registry = make_registry(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("app.serving.places.model_folders", lambda _: listing_fails())
        registry.load()
        with pytest.raises(NotReadyError, match="the models folder cannot be read"):
            registry.check_ready()
    registry.load()
    monkeypatch.setattr("app.serving.scanning.is_bundle", lambda _: listing_fails())
    registry.load()
    assert states(registry) == {"toy": "toy:1"}
    assert "the models folder cannot be read: Permission denied" in registry.table.problems[0]
    registry.check_ready()


def listing_fails():
    raise PermissionError(13, "Permission denied")


def test_hidden_and_temporary_folders_are_no_bundles(tmp_path, byte_level):
    for name in (".git", "_old", ".partial-x", "lost+found"):
        (tmp_path / name).mkdir()
    (tmp_path / "README.md").write_text("")
    write_bundle(tmp_path, byte_level)
    (tmp_path / "toy" / ".partial-x").mkdir()
    assert states(load(tmp_path)) == {"toy": "toy:1"}


# --- Probes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shift", "state"), [(0.0, "toy:1"), (9e-4, "toy:1"), (2e-3, "failed"), (1.0, "failed")])
def test_a_graph_that_is_not_the_trained_model_is_refused(shift, state, tmp_path, byte_level, encoder):
    """The manifest's tolerance is 1e-3."""
    probes = [toy_probe(encoder, "a good film"), toy_probe(encoder, "Ada", shift)]
    write_bundle(tmp_path, byte_level, probes=probes)
    registry = load(tmp_path)
    assert states(registry) == {"toy": state}
    if state == "failed":
        assert reason(registry).startswith(f"probe 1 drifted by {shift:.4g} from the trained model, more than 0.001")


# --- External data --------------------------------------------------------------------------------------


def externalize(graph, location):
    """Move a graph's table to a file beside it."""
    tensor = graph.graph.initializer[0]
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(len(data)))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return data


@pytest.mark.parametrize(
    ("location", "state"), [("weights.bin", "toy:1"), ("../weights.bin", "failed"), ("link.bin", "failed")]
)
def test_weights_outside_the_folder_are_refused(location, state, tmp_path, byte_level):
    folder = write_hub_folder(tmp_path / "toy", byte_level)
    graph = toy_graph(padded=True)
    weights = externalize(graph, location)
    onnx.save(graph, folder / "model.onnx")
    for place in (folder, tmp_path):
        (place / "weights.bin").write_bytes(weights)
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    registry = load(tmp_path)
    assert states(registry) == {"toy": state}
    assert state != "failed" or "external data outside of the bundle, or through a link" in reason(registry)
