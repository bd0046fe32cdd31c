"""The health check asks where the service listens, whatever flags, variables or files say so."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from contextlib import contextmanager

import pytest
import trustme

from app.commands.health import flags_in, flags_of_service
from app.commands.verbs import VERBS

READY = b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n" + b'{"status":"ready"}'
NOT_READY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 22\r\n\r\n" + b'{"status":"not ready"}'


@pytest.fixture(autouse=True)
def _nothing_else(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("app.commands.health.PROCESSES", tmp_path)
    for name in ("HOST", "PORT", "ADMIN_PORT", "ADMIN_HOST", "UDS", "SSL_CERTFILE"):
        monkeypatch.delenv(f"ROBERTA_{name}", raising=False)


@contextmanager
def answering(listener, answer=READY, context=None):
    """Answer one request with fixed bytes; keep what was asked."""
    asked = []

    def serve():
        try:
            accepted, _ = listener.accept()
            with context.wrap_socket(accepted, server_side=True) if context else accepted as connection:
                asked.append(connection.recv(2**16))
                connection.sendall(answer)
        except OSError:
            pass  # nobody came

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield asked
    finally:
        listener.close()
        thread.join()


def on_port(family=socket.AF_INET, address="127.0.0.1"):
    listener = socket.create_server((address, 0), family=family)
    listener.settimeout(20)
    return listener, str(listener.getsockname()[1])


def code_of(*flags):
    with pytest.raises(SystemExit) as ended:
        VERBS["health"].run(flags)
    return ended.value.code


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "localhost"])
def test_the_port_is_asked_at_the_address(host):
    listener, port = on_port()
    with answering(listener) as asked:
        assert code_of("--port", port, "--host", host, "--device", "cpu", "--model", "a", "--model", "b") == 0
    assert asked[0].startswith(b"GET /health/ready HTTP/1.1\r\n")


def test_every_address_of_either_kind_is_asked_at_the_loopback():
    try:
        listener, port = on_port(socket.AF_INET6, "::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    with answering(listener):
        assert code_of("--host", "::", "--port", port) == 0


def test_the_admin_port_goes_before_all_else(monkeypatch):
    listener, port = on_port()
    monkeypatch.setenv("ROBERTA_PORT", "1")
    monkeypatch.setenv("ROBERTA_ADMIN_PORT", port)
    with answering(listener):
        assert code_of("--uds", "nowhere.sock") == 0


def test_a_unix_socket_is_asked(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "a.sock"))
        listener.listen()
        listener.settimeout(20)
        with answering(listener):
            assert code_of("--uds", str(tmp_path / "a.sock")) == 0


def test_tls_is_spoken_where_the_service_speaks_it(tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("elsewhere.example").configure_cert(context)
    listener, port = on_port()
    with answering(listener, context=context) as asked:
        assert code_of("--port", port, "--ssl-certfile", "any.pem") == 0
    assert asked[0].startswith(b"GET /health/ready")


def test_what_is_not_ready_or_not_there_is_told():
    listener, port = on_port()
    with answering(listener, NOT_READY):
        assert code_of("--port", port) == 'roberta-serve: the service is not ready: {"status":"not ready"}'
    assert "the service does not answer: " in code_of("--port", port)
    assert "it listens on a port that the system chose" in code_of("--port", "0")
    assert "the settings of the service cannot be read" in code_of("--port", "many")


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        (["python", "-m", "app"], []),
        (["python", "-m", "app", "--port", "9000"], ["--port", "9000"]),
        (["python", "-m", "app", "serve", "--port=9000"], ["--port=9000"]),
        (["/sbin/docker-init", "--", "python", "-m", "app", "--port", "9000"], ["--port", "9000"]),
        (["/opt/venv/bin/python", "/opt/venv/bin/roberta-serve", "--port", "9000"], ["--port", "9000"]),
        (["python", "-m", "app.commands.health"], None),
        (["python", "-m", "app", "health"], None),
        (["python", "-m", "app", "tune", "sentiment"], None),
        (["app", "--port", "1"], None),
        ([""], None),
    ],
    ids=str,
)
def test_the_flags_of_a_command_line(line, flags):
    assert flags_in(line) == flags


def test_flags_are_those_of_the_service_that_runs(tmp_path):
    listener, port = on_port()
    for number, line in {
        1: ["sh"],
        7: ["python", "-m", "app", "--port", port],
        30: [sys.executable, "-m", "app"],
    }.items():
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "cmdline").write_bytes("".join(f"{word}\0" for word in line).encode())
    assert flags_of_service(tmp_path) == ["--port", port]
    with answering(listener):
        assert code_of() == 0
