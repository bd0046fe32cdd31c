"""Fetching, by huggingface_hub itself, from a server that speaks the Hub's API: whole, resumed, offline, or refused."""

import errno
import os

import huggingface_hub.constants as constants
import huggingface_hub.file_download
import pytest

from app.hub.choosing import Choice
from app.hub.errors import HubError
from app.hub.fetching import Repository, fetch
from tests.support.hub import TOKEN

FILES = {
    "config.json": b'{"architectures": ["RobertaForSequenceClassification"]}',
    "tokenizer.json": b"{}" * 50,
    "onnx/model.onnx": bytes(range(256)) * 400,
    "pytorch_model.bin": b"pickle" * 100,
}
NEEDED = ("config.json", "tokenizer.json", "onnx/model.onnx")


def choose(names, config):
    assert "pytorch_model.bin" in names
    assert config["architectures"]
    return Choice("onnx", "onnx/model.onnx", NEEDED)


def fetched(tell, revision="main", name="acme/reviews"):
    return fetch(Repository(name, revision, tell), choose)


def contents(snapshot):
    return {name: (snapshot.folder / name).read_bytes() for name in NEEDED}


def wanted(files=FILES):
    return {name: files[name] for name in NEEDED}


def test_only_the_needed_files_are_fetched_and_each_once(hub, tell, said):
    commit = hub.add("acme/reviews", FILES)
    snapshot = fetched(tell)
    assert contents(snapshot) == wanted()
    assert (snapshot.commit, snapshot.folder.name) == (commit, commit)
    assert sorted(hub.downloads()) == sorted(NEEDED)
    assert said[0] == ("fetching", {"repository": "acme/reviews", "commit": commit, "files": 3, "mib": 0.1})
    hub.requests.clear()
    fetched(tell)
    assert [line.split("?")[0] for line in hub.requests if "agent" not in line] == [
        "GET /api/models/acme/reviews/revision/main"
    ]


@pytest.mark.parametrize("revision", ["v2", "refs/pr/1", None], ids=str)
def test_a_revision_is_a_branch_a_change_or_a_commit(revision, hub, tell):
    first = hub.add("acme/reviews", FILES)
    other = FILES | {"tokenizer.json": b"{}"}
    hub.repos["acme/reviews"].push(other, "v2")
    hub.repos["acme/reviews"].push(other, "refs/pr/1")
    assert contents(fetched(tell, revision or first)) == wanted(other if revision else FILES)


def test_a_pinned_commit_that_is_cached_asks_nobody(hub, tell):
    commit = hub.add("acme/reviews", FILES)
    fetched(tell, commit)
    hub.requests.clear()
    fetched(tell, commit)
    assert [line for line in hub.requests if "agent" not in line] == []


# --- Without the network --------------------------------------------------------------------------------


@pytest.fixture(params=["offline", "unreachable", "down"])
def away(request, monkeypatch):
    """Take the Hub away."""

    def take(hub):
        if request.param == "offline":
            monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        elif request.param == "unreachable":
            nowhere = "http://127.0.0.1:1"
            monkeypatch.setattr(constants, "ENDPOINT", nowhere)
            monkeypatch.setattr(
                constants, "HUGGINGFACE_CO_URL_TEMPLATE", nowhere + "/{repo_id}/resolve/{revision}/{filename}"
            )
        else:
            hub.status = 503
        return request.param

    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    return take


def test_what_is_cached_is_served_without_the_hub(away, hub, tell):
    hub.add("acme/reviews", FILES)
    fetched(tell)
    away(hub)
    assert contents(fetched(tell)) == wanted()


def test_what_is_not_cached_is_a_sentence_without_the_hub(away, hub, tell):
    how = away(hub)
    with pytest.raises(HubError) as raised:
        fetched(tell)
    sentence = {
        "offline": "HF_HUB_OFFLINE is set, and the cache",
        "unreachable": "http://127.0.0.1:1 cannot be reached (ConnectionRefusedError",
        "down": "cannot be reached",
    }
    assert sentence[how] in str(raised.value)
    assert "does not have acme/reviews@main whole" in str(raised.value)
    assert "\n" not in str(raised.value)


# --- Refused --------------------------------------------------------------------------------------------


def test_a_token_opens_what_is_private_and_gated(hub, tell, monkeypatch):
    hub.add("acme/reviews", FILES, "private")
    hub.add("acme/gated", FILES, "gated")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert contents(fetched(tell)) == contents(fetched(tell, name="acme/gated")) == wanted()


@pytest.mark.parametrize(
    ("access", "revision", "sentence"),
    [
        (
            None,
            "main",
            "has no model acme/reviews, or it is private; check its name, or set HF_TOKEN to a token for it",
        ),
        ("private", "main", "has no model acme/reviews, or it is private"),
        ("gated", "main", "acme/reviews is gated: accept its terms at {url}/acme/reviews, and set HF_TOKEN to a token"),
        ("open", "v9", "acme/reviews has no revision 'v9'; {url}/acme/reviews/tree/main lists its branches and tags"),
    ],
)
def test_what_the_hub_refuses_is_a_sentence(access, revision, sentence, hub, tell):
    if access:
        hub.add("acme/reviews", FILES, access)
    with pytest.raises(HubError) as raised:
        fetched(tell, revision)
    assert sentence.format(url=hub.url) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "sentence"), [(403, "forbids acme/reviews to this token"), (429, "no more requests")]
)
def test_other_refusals_are_sentences_as_well(status, sentence, hub, tell, monkeypatch):
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    hub.status = status
    with pytest.raises(HubError, match=sentence):
        fetched(tell)


def test_a_repository_that_is_refused_now_is_served_as_it_was_fetched_before(hub, tell, said):
    commit = hub.add("acme/reviews", FILES)
    fetched(tell)
    hub.repos["acme/reviews"].access = "private"
    assert contents(fetched(tell)) == wanted()
    assert ("hub_refuses", {"repository": "acme/reviews", "status": 401, "used": commit}) in said


# --- Broken downloads -----------------------------------------------------------------------------------


def test_a_download_that_is_cut_goes_on_where_it_ended(hub, tell, monkeypatch):
    monkeypatch.setattr(huggingface_hub.file_download.time, "sleep", lambda _: None)
    hub.add("acme/reviews", FILES)
    hub.broken["onnx/model.onnx"] = "reset"
    assert contents(fetched(tell)) == wanted()
    assert hub.downloads().count("onnx/model.onnx") == 2


@pytest.mark.parametrize("has_links", [True, False], ids=["links", "copies"])
@pytest.mark.parametrize(
    ("how", "file"),
    [
        ("altered", "onnx/model.onnx"),
        ("altered", "tokenizer.json"),
        ("short", "onnx/model.onnx"),
        ("pointer", "onnx/model.onnx"),
    ],
)
def test_a_download_that_is_not_what_was_announced_is_a_sentence_and_never_stays(
    how, file, has_links, hub, tell, monkeypatch
):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_SYMLINKS", not has_links)
    hub.add("acme/reviews", FILES)
    hub.broken[file] = how
    with pytest.raises(HubError) as raised:
        fetched(tell)
    assert "\n" not in str(raised.value)
    hub.broken.clear()
    assert contents(fetched(tell)) == wanted()


@pytest.mark.parametrize("content", [b"", b"x" * 102_400, None], ids=["empty", "altered", "gone"])
def test_a_file_that_was_damaged_in_the_cache_is_fetched_again(content, hub, tell, said):
    hub.add("acme/reviews", FILES)
    blob = (fetched(tell).folder / "onnx/model.onnx").resolve()
    blob.unlink() if content is None else blob.write_bytes(content)
    assert contents(fetched(tell)) == wanted()
    assert content is None or "fetched_again" in [event for event, _ in said]


def test_a_full_disk_is_a_sentence(hub, tell, monkeypatch):
    hub.add("acme/reviews", FILES)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(huggingface_hub.file_download, "http_get", full)
    with pytest.raises(HubError, match=r"the disk of the cache .* is full; make room, or set HF_HOME to another disk"):
        fetched(tell)
