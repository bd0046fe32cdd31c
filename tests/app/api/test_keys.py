"""The keyring: who has which scope, which limits hold, and how a file of keys is followed."""

import hashlib
import os
import time

import pytest
from prometheus_client import CollectorRegistry

from app.api import keys
from app.api.key_file import KeyFileError
from app.api.keys import Keyring
from app.errors import ForbiddenError, RateLimitedError, UnauthorizedError
from app.metrics import Metrics
from app.settings import Settings


def bearing(key, scheme="Bearer"):
    return {b"authorization": f"{scheme} {key}".encode()}


def entry(name, key, **fields):
    """Return the lines of a file for one key; values are TOML already."""
    fields = {"sha256": f'"{hashlib.sha256(key.encode()).hexdigest()}"', **fields}
    return "\n".join([f"[{name}]", *(f"{field} = {value}" for field, value in fields.items()), ""])


def make_keyring(path=None, metrics=None, **settings):
    return Keyring(Settings(api_keys_file=path, **settings), metrics or Metrics(CollectorRegistry()))


@pytest.fixture
def clock(monkeypatch):
    """A clock that is moved by hand."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    made = Clock()
    monkeypatch.setattr(keys, "time", made)
    return made


# --- Keys of the settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["Bearer first", "bearer second", "Bearer  second "])
def test_any_configured_key_opens(given):
    keyring = make_keyring(api_keys=["first", "second"])
    for scope in ("predict", "metrics", None):
        assert keyring.check({b"authorization": given.encode()}, scope).name.startswith("api_keys-")


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer wrong", "Basic first", "first", "Bearer first second", "Bearer " + "a" * 9999]
)
def test_anything_else_is_refused(given):
    keyring = make_keyring(api_keys=["first", "second"])
    with pytest.raises(UnauthorizedError):
        keyring.check({b"authorization": given.encode()} if given is not None else {}, "predict")


def test_a_key_of_the_settings_does_not_administer():
    with pytest.raises(ForbiddenError, match="scope `admin`"):
        make_keyring(api_keys=["first"]).check(bearing("first"), "admin")


@pytest.mark.parametrize("headers", [{}, bearing("hf_saved_on_this_machine")])
def test_without_configured_keys_none_is_asked_for_but_nobody_administers(headers):
    keyring = make_keyring()
    for scope in ("predict", "metrics", None):
        keyring.check(headers, scope).enter()
    with pytest.raises(ForbiddenError):
        keyring.check(headers, "admin")


# --- Keys of a file ---------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.toml"


def test_a_key_has_its_scopes_alone(path):
    path.write_text(
        entry("one", "k1") + entry("two", "k2", scopes='["metrics"]') + entry("root", "k3", scopes='["admin"]')
    )
    keyring = make_keyring(path)
    may = {"k1": "predict", "k2": "metrics", "k3": "admin"}
    for key, scope in may.items():
        assert keyring.check(bearing(key), scope) is keyring.check(bearing(key), None)
        for other in set(may.values()) - {scope}:
            with pytest.raises(ForbiddenError, match=f"`{other}`"):
                keyring.check(bearing(key), other)


def test_a_hash_is_not_a_key(path):
    path.write_text(entry("one", "k1"))
    with pytest.raises(UnauthorizedError):
        make_keyring(path).check(bearing(hashlib.sha256(b"k1").hexdigest()), None)


def test_a_file_that_cannot_be_used_is_an_error_at_the_start(path):
    with pytest.raises(KeyFileError):
        make_keyring(path)


def replaced_by_rename(path, text):
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def written_in_place(path, text):
    path.write_text(text)


def swapped_link(path, text):
    """As Kubernetes mounts a secret: keys.toml -> ..data/keys.toml, and ..data is swapped."""
    folder = path.parent / f"at-{time.monotonic_ns()}"
    folder.mkdir()
    (folder / "keys.toml").write_text(text)
    link = path.parent / "data-new"
    link.symlink_to(folder.name)
    link.replace(path.parent / "data")
    if not path.is_symlink():
        path.symlink_to("data/keys.toml")


@pytest.mark.parametrize("write", [replaced_by_rename, written_in_place, swapped_link])
def test_keys_are_rotated_without_a_restart(path, write, clock):
    write(path, entry("one", "old"))
    keyring = make_keyring(path)
    keyring.check(bearing("old"), "predict")
    write(path, entry("one", "new"))
    clock.now += 1
    keyring.check(bearing("new"), "predict")
    with pytest.raises(UnauthorizedError):
        keyring.check(bearing("old"), "predict")


def test_two_keys_of_one_name_share_its_limits(path, clock):
    sha256 = [hashlib.sha256(key.encode()).hexdigest() for key in ("old", "new")]
    path.write_text(entry("one", "", sha256=sha256, requests_per_s=1))
    keyring = make_keyring(path)
    keyring.check(bearing("old"), "predict").enter()
    with pytest.raises(RateLimitedError):
        keyring.check(bearing("new"), "predict").enter()


@pytest.mark.parametrize(
    "spoil",
    [lambda path: path.write_text(""), lambda path: path.write_text("["), lambda path: path.unlink()],
    ids=["empty", "broken", "missing"],
)
def test_a_broken_file_keeps_the_keys_of_before_and_logs_one_line(path, spoil, clock, caplog):
    path.write_text(entry("one", "old"))
    keyring = make_keyring(path)
    spoil(path)
    logged = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys.log, "error", lambda event, **fields: logged.append((event, fields)), raising=False)
        for _ in range(5):
            clock.now += 1
            keyring.check(bearing("old"), "predict")
    assert [event for event, _ in logged] == ["api_keys_kept"]
    path.write_text(entry("one", "new"))
    clock.now += 1
    keyring.check(bearing("new"), "predict")


def test_the_file_is_looked_at_once_a_second(path, clock, monkeypatch):
    path.write_text(entry("one", "old"))
    keyring, looks = make_keyring(path), []
    monkeypatch.setattr(keys, "signature_of", lambda path: looks.append(path) or keyring._signature)
    for _ in range(1000):
        clock.now += 0.01
        keyring.check(bearing("old"), "predict")
    assert 9 <= len(looks) <= 11


def test_a_file_of_the_same_size_and_time_is_another(path, clock):
    path.write_text(entry("one", "old"))
    before = path.stat()
    keyring = make_keyring(path)
    replaced_by_rename(path, entry("one", "new"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    clock.now += 1
    keyring.check(bearing("new"), "predict")


# --- Limits -------------------------------------------------------------------------------------------------


def test_a_rate_is_refused_with_the_seconds_to_wait_and_counted_by_name(path, clock):
    path.write_text(entry("one", "k1", requests_per_s=0.5) + entry("two", "k2"))
    metrics = Metrics(CollectorRegistry())
    keyring = make_keyring(path, metrics)
    key = keyring.check(bearing("k1"), "predict")
    key.enter()
    key.leave()
    with pytest.raises(RateLimitedError, match=r"0\.5 requests per second") as refused:
        key.enter()
    assert refused.value.retry_after_s == pytest.approx(2)
    clock.now += 2
    key.enter()
    counted = metrics.registry.get_sample_value
    assert counted("roberta_key_requests_total", {"key": "one"}) == 3
    assert counted("roberta_key_limited_total", {"key": "one"}) == 1
    assert counted("roberta_key_requests_total", {"key": "two"}) == 0


def test_requests_in_hand_are_bounded_through_a_rotation(path, clock):
    path.write_text(entry("one", "k1", concurrent_requests=2))
    keyring = make_keyring(path)
    first, second = (keyring.check(bearing("k1"), "predict") for _ in range(2))
    first.enter()
    second.enter()
    path.write_text(entry("one", "k1", concurrent_requests=2, highest_priority=0))
    clock.now += 1
    third = keyring.check(bearing("k1"), "predict")
    assert third.highest_priority == 0
    with pytest.raises(RateLimitedError, match="2 requests in hand"):
        third.enter()
    first.leave()
    third.enter()
