"""Settings: from the environment, bounded, each with a sentence; and the cores that a container really has."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.commands.serve_flags import make_parser
from app.settings import Settings, available_cores


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("ROBERTA_"):
            monkeypatch.delenv(name)


def test_the_environment_is_read_by_prefix(monkeypatch):
    monkeypatch.setenv("ROBERTA_MAX_QUEUE_TOKENS", "1000")
    monkeypatch.setenv("ROBERTA_DEFAULT_MODELS", '{"classify": "sentiment:2"}')
    monkeypatch.setenv("ROBERTA_API_KEYS", '["one", "two"]')
    monkeypatch.setenv("PORT", "1")
    settings = Settings()
    assert settings.max_queue_tokens == 1000
    assert settings.default_models == {"classify": "sentiment:2"}
    assert [key.get_secret_value() for key in settings.api_keys] == ["one", "two"]
    assert settings.port == 8000


def test_the_port_that_kubernetes_sets_for_a_service_called_roberta_is_no_setting(monkeypatch):
    monkeypatch.setenv("ROBERTA_PORT", "tcp://10.0.0.1:80")
    assert Settings().port == Settings.model_fields["port"].default


def test_the_admin_port_that_kubernetes_sets_for_a_service_is_refused_with_what_to_do(monkeypatch):
    monkeypatch.setenv("ROBERTA_ADMIN_PORT", "tcp://10.0.0.1:80")
    with pytest.raises(ValidationError, match="enableServiceLinks: false"):
        Settings()


def test_arguments_come_before_the_environment(monkeypatch):
    monkeypatch.setenv("ROBERTA_PORT", "1")
    assert Settings(port=2).port == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", -1),
        ("port", 65536),
        ("device", "tpu"),
        ("default_route", "translate"),
        ("runners", 0),
        ("runners", 257),
        ("gpus", []),
        ("gpus", [-1]),
        ("gpu_memory_limit_mb", 0),
        ("intra_op_threads", 0),
        ("max_batch_tokens", 15),
        ("max_queue_delay_ms", -1),
        ("max_queue_tokens", 511),
        ("max_queue_age_ms", 0),
        ("request_timeout_s", 0),
        ("request_timeout_s", 3601),
        ("max_body_bytes", 1023),
        ("admin_port", -1),
        ("max_body_memory_mb", 0),
        ("shutdown_delay_s", -1),
        ("max_head_bytes", 4095),
        ("max_connections", 0),
        ("head_timeout_s", 0),
        ("keep_alive_s", 0),
        ("send_timeout_s", 0),
        ("max_inputs", 0),
        ("stall_timeout_s", 0),
        ("drain_timeout_s", -1),
        ("log_level", "loud"),
        ("log_format", "xml"),
        ("no_such_setting", 1),
        ("http_workers", -1),
        ("http_workers", 257),
        ("gpus", [1, 1]),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_name(name, value):
    with pytest.raises(ValidationError, match=name):
        Settings(**{name: value})


def test_a_route_that_there_is_not_is_refused_with_those_that_there_are():
    with pytest.raises(ValidationError, match=r"there is no route 'translate'; choose one of classify, .*ner"):
        Settings(default_route="translate")
    assert Settings(default_route="ner").default_route == "ner"


@pytest.mark.parametrize(
    ("access", "keys", "sentence"),
    [
        ({"page": "key"}, ["a-key"], "page cannot need a key"),
        ({"docs": "key"}, [], "where none is configured"),
        ({"health": "off"}, [], "access.health"),
        ({"docs": "closed"}, [], "access.docs"),
    ],
)
def test_access_that_keeps_everybody_out_is_refused(access, keys, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Settings(access=access, api_keys=keys)


def test_access_is_set_page_by_page():
    assert Settings(access={"docs": "off", "metrics": "key"}, api_keys=["a-key"]).access["metrics"] == "key"
    assert make_parser().read(["--access", "docs=off", "--access", "metrics=open"]).access == {
        "docs": "off",
        "metrics": "open",
    }


@pytest.mark.parametrize(
    ("given", "models"),
    [("a/b", ["a/b"]), ("a/b n=c/d@v2,e/f", ["a/b", "n=c/d@v2", "e/f"]), ('["a/b"]', ["a/b"]), ("", []), (" ", [])],
)
def test_models_are_named_in_the_environment_and_by_flags(given, models, monkeypatch):
    monkeypatch.setenv("ROBERTA_MODEL", given)
    assert Settings().model == models
    assert make_parser().read(["--model", "x/y", "--model", "z=x/z"]).model == ["x/y", "z=x/z"]


def test_a_folder_with_a_space_is_one_model(tmp_path, monkeypatch):
    (tmp_path / "my model").mkdir()
    monkeypatch.setenv("ROBERTA_MODEL", str(tmp_path / "my model"))
    assert Settings().model == [str(tmp_path / "my model")]


@pytest.mark.parametrize("key", ["", " ", " a-secret", "a-secret\n"])
def test_a_key_that_lets_everybody_in_or_nobody_is_refused(key):
    with pytest.raises(ValidationError, match="api_keys"):
        Settings(api_keys=[key])


def test_every_gpu_of_one_process_needs_a_runner():
    with pytest.raises(ValidationError, match="every one of gpus needs a runner"):
        Settings(gpus=[0, 1], runners=1)
    assert Settings(gpus=[0, 1], runners=2).runners == 2
    assert Settings(gpus=[0, 1], runners=1, http_workers=1, device="cuda").engines == 2


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("ROBERTA_API_KEYS", "a-secret", "api_keys"),
        ("ROBERTA_PORT", "-1", "roberta-serve: port: Input should be greater than or equal to 0"),
        ("ROBERTA_GPUS", "[1, 1]", "roberta-serve: gpus must be different numbers"),
    ],
)
def test_a_setting_that_cannot_be_read_ends_the_command_with_a_sentence(name, value, sentence, monkeypatch, capsys):
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        make_parser().read([])
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_sentence(name):
    description = Settings.model_fields[name].description
    assert description
    assert description.endswith((".", "429.", "red."))


def test_settings_do_not_change():
    with pytest.raises(ValidationError):
        Settings().port = 1


def test_keys_are_not_shown():
    settings = Settings(api_keys=["hunter2"])
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()


# --- Cores ----------------------------------------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch):
    """Return a function that sets this process's CPU set and the container's quota."""

    def set_up(cores, quota):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)

        def read_text(path, *args, **kwargs):
            assert path == Path("/sys/fs/cgroup/cpu.max")
            if quota is None:
                raise FileNotFoundError(path)
            return quota

        monkeypatch.setattr(Path, "read_text", read_text)

    return set_up


@pytest.mark.parametrize(
    ("cores", "quota", "expected"),
    [
        (8, None, 8),  # no cgroups
        (8, "max 100000\n", 8),
        (8, "200000 100000\n", 2),
        (8, "50000 100000\n", 1),  # half a core still is one runner
        (8, "1600000 100000\n", 8),
        (8, "nonsense", 8),
    ],
)
def test_available_cores_are_bounded_by_a_containers_quota(cores, quota, expected, machine):
    machine(cores, quota)
    assert available_cores() == expected


@pytest.mark.parametrize(
    ("runners", "device", "expected"), [(None, "cpu", 4), (None, "cuda", 2), (3, "cpu", 3), (5, "cuda", 5)]
)
def test_as_many_runners_as_cores_and_two_for_each_gpu(runners, device, expected, machine):
    machine(4, None)
    assert Settings(runners=runners).runners_on(device) == expected
    assert Settings(gpus=[0, 2, 3]).runners_on("cuda") == 6
