"""The file of a Unix socket: who may use it, what a crash leaves behind, and what is not to be overwritten."""

from __future__ import annotations

import socket
import stat

import pytest

from app.api.listener import bind, bind_main_or_end, url_of
from app.api.unix_socket import bind_unix, remove
from app.settings import Settings


@pytest.mark.parametrize("mode", ["666", "660", "0600"])
def test_the_file_has_the_permissions_that_are_asked_for(tmp_path, mode):
    path = tmp_path / "service.sock"
    with bind_unix(path, mode) as bound:
        assert stat.S_IMODE(path.stat().st_mode) == int(mode, 8)
        assert url_of(bound) == f"unix:{path}"
        remove(bound)
        assert not path.exists()


def test_a_file_that_a_crash_left_is_replaced(tmp_path):
    path = tmp_path / "service.sock"
    bind_unix(path, "666").close()
    assert path.is_socket()
    with bind_unix(path, "666") as bound, socket.socket(socket.AF_UNIX) as client:
        bound.listen()
        client.connect(str(path))


def refusal(path):
    with pytest.raises(SystemExit) as ended:
        bind_main_or_end(Settings(uds=path))
    return str(ended.value)


def test_a_socket_on_which_somebody_listens_is_left_alone(tmp_path):
    path = tmp_path / "service.sock"
    with bind_unix(path, "666") as bound:
        bound.listen()
        assert refusal(path).startswith(f"roberta-serve: cannot listen on {path}: Address already in use; name another")
        assert path.is_socket()


def test_another_file_is_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    assert refusal(path).startswith(f"roberta-serve: cannot listen on {path}: there is a file that is no socket; name")
    assert path.read_text() == "mine"


def test_a_path_that_cannot_be_one_is_named(tmp_path):
    assert "cannot listen on" in refusal(tmp_path / "no" / "folder.sock")
    assert "path too long" in refusal(tmp_path / ("x" * 200))


def test_every_address_means_those_of_ipv4_too():
    try:
        bound = bind("::", 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with bound:
        bound.listen()
        assert bound.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 0
        socket.create_connection(("127.0.0.1", bound.getsockname()[1])).close()
