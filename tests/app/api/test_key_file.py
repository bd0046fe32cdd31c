"""The file of API keys: what it may say, and that no sentence on what is wrong quotes what might be a key."""

import hashlib
import io
import sys
import tomllib

import pytest

from app.__main__ import main
from app.api.key_file import KeyFileError, check_strength, new_key, read_key_file, render_entry

HASH = hashlib.sha256(b"a-key").hexdigest()
SECRET = "rs_a-key-that-was-put-where-it-does-not-belong"


def reading(tmp_path, text):
    path = tmp_path / "keys.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_key_file(path)


def test_an_entry_has_defaults(tmp_path):
    (entry,) = reading(tmp_path, f'[search]\nsha256 = "{HASH}"').values()
    assert (entry.sha256, entry.scopes, entry.highest_priority) == ([HASH], ["predict"], 10)
    assert entry.requests_per_s is None
    assert entry.concurrent_requests is None


def test_an_entry_may_have_two_keys_and_limits(tmp_path):
    text = f"""
    [search-2]  # while clients move
    sha256 = ["{HASH}", "{"0" * 64}"]
    scopes = ["predict", "metrics", "admin"]
    requests_per_s = 50
    concurrent_requests = 8
    highest_priority = -1
    """
    (entry,) = reading(tmp_path, text).values()
    assert len(entry.sha256) == 2
    assert (entry.requests_per_s, entry.concurrent_requests, entry.highest_priority) == (50, 8, -1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "must have from 1 to 1000 keys"),
        (b"\xff", "is not UTF-8"),
        (f"[search]\nsha256 = {SECRET}", "is not TOML (at line 2, column 10)"),
        (f"{SECRET}", "is not TOML (at"),
        ("a = " + "[" * 5000, "is not TOML"),
        (f'[search]\nsha256 = "{SECRET}"', "search.sha256"),
        (f'[search]\nsha256 = "{HASH.upper()}"', "search.sha256"),
        ("[search]\nsha256 = []", "search.sha256"),
        ("[search]\nsha256 = 1", "search.sha256"),
        ("[search]", "search.sha256: Field required"),
        (f'["two words"]\nsha256 = "{HASH}"', "a name must be letters"),
        (f'[{"a" * 65}]\nsha256 = "{HASH}"', "a name must be letters"),
        (f'[search]\nsha256 = "{HASH}"\nkey = "{SECRET}"', "search.key"),
        (f'[search]\nsha256 = "{HASH}"\nscopes = ["{SECRET}"]', "search.scopes.0"),
        (f'[search]\nsha256 = "{HASH}"\nscopes = []', "search.scopes"),
        (f'[search]\nsha256 = "{HASH}"\nrequests_per_s = 0', "search.requests_per_s"),
        (f'[search]\nsha256 = "{HASH}"\nrequests_per_s = nan', "search.requests_per_s"),
        (f'[search]\nsha256 = "{HASH}"\nconcurrent_requests = 0.5', "search.concurrent_requests"),
        (f'[search]\nsha256 = "{HASH}"\nhighest_priority = 11', "search.highest_priority"),
        (f'[a]\nsha256 = "{HASH}"\n[b]\nsha256 = "{HASH}"', "a and b are the same key"),
        ("\n".join(f'[k{n}]\nsha256 = "{n:064x}"' for n in range(1001)), "must have from 1 to 1000 keys"),
        (b"#" * 2_000_000, "is larger than"),
    ],
    ids=str,
)
def test_a_file_that_cannot_be_used_says_where_and_quotes_nothing(tmp_path, text, sentence):
    with pytest.raises(KeyFileError) as refused:
        reading(tmp_path, text)
    assert sentence in str(refused.value)
    assert SECRET not in str(refused.value)
    assert HASH not in str(refused.value)


@pytest.mark.parametrize("make", [lambda path: path, lambda path: path.mkdir() or path], ids=["missing", "folder"])
def test_what_is_no_file_cannot_be_used(tmp_path, make):
    with pytest.raises(KeyFileError, match="cannot be read"):
        read_key_file(make(tmp_path / "keys.toml"))


# --- Making one -----------------------------------------------------------------------------------------


@pytest.fixture
def command(monkeypatch, capsys):
    """Return a function that runs a command and returns what it printed."""

    def run(*arguments, typed=""):
        monkeypatch.setattr(sys, "argv", ["roberta-serve", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        main()
        return capsys.readouterr()

    return run


def test_a_new_key_opens_the_entry_that_is_printed_with_it(tmp_path, command):
    printed = command("new-key", "search", "--scopes", "predict", "admin", "--requests-per-s", "2.5")
    key = printed.err.split()[-1]
    (entry,) = reading(tmp_path, printed.out).values()
    assert entry.sha256 == [hashlib.sha256(key.encode()).hexdigest()]
    assert (entry.scopes, entry.requests_per_s) == (["predict", "admin"], 2.5)
    assert key not in printed.out


def test_entries_are_appended(tmp_path, command):
    names = ["one", "two"]
    assert list(reading(tmp_path, "".join(command("new-key", name).out for name in names))) == names


def test_an_existing_key_comes_on_standard_input(tmp_path, command):
    (entry,) = reading(tmp_path, command("hash-key", "search", typed=f"{SECRET}\n").out).values()
    assert entry.sha256 == [hashlib.sha256(SECRET.encode()).hexdigest()]


@pytest.mark.parametrize(
    ("name", "typed", "sentence"),
    [
        ("search", "short", "needs at least 22 random characters"),
        ("search", "", "letters, digits"),
        ("search", "with space " * 5, "letters, digits"),
        ("two words", SECRET, "a name must be letters"),
    ],
)
def test_a_key_that_could_be_guessed_or_not_be_sent_is_refused(command, name, typed, sentence):
    with pytest.raises(SystemExit, match=sentence):
        command("hash-key", name, typed=typed)


def test_new_keys_differ_and_are_strong():
    one, other = new_key(), new_key()
    assert one != other
    check_strength(one)
    assert tomllib.loads(render_entry("a", one, {"scopes": None}))["a"].keys() == {"sha256"}


@pytest.mark.parametrize("shape", ["0", "2"])
def test_the_service_does_not_start_with_a_file_that_cannot_be_used(tmp_path, command, shape):
    with pytest.raises(SystemExit, match=r"api_keys_file .*none cannot be read"):
        command("--api-keys-file", str(tmp_path / "none"), "--http-workers", shape)
