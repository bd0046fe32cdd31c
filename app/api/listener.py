"""Sockets that listen, and how their connections are accepted."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import socket
import ssl
import struct
import time
from collections.abc import Callable, Mapping
from functools import partial

from app.api.connections import LINGER_S, Connections
from app.api.unix_socket import bind_unix, is_unix, remove
from app.errors import TooManyConnectionsError
from app.settings import Settings

BACKLOG = 4096  # connections that wait to be accepted; the kernel's own limit, net.core.somaxconn, may be lower
MOST_AT_ONCE = 256  # connections accepted in one turn of the event loop
MOST_REFUSED = 64  # sockets of refused connections that are kept until their clients have read why
PORT_REMEDIES = {  # what begins the flags of a listener is put in
    errno.EADDRINUSE: "end what listens there, or give another port with {}port (0: any that is free)",
    errno.EACCES: "ports under 1024 are the system's, give one above with {}port",
    errno.EADDRNOTAVAIL: "give an address of this machine with {}host, such as 127.0.0.1",
}
PAUSE_S = 0.1  # between attempts to accept while there is no descriptor
HANDSHAKES_S = 0.05  # for connections that are being opened when the service stops listening
EVERYWHERE = "::"  # every address of the machine, of IPv4 too
SO_ATTACH_FILTER = 26  # Linux: asm-generic/socket.h
EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

Factory = Callable[[float], asyncio.Protocol]


class Listener:
    """Accepts all connections that wait, in each turn of the event loop. (uvloop accepts one.)

    `make` returns the protocol of a connection that has waited since a time of `time.monotonic()`. From a socket
    that is shared with other processes, one is accepted in each turn, so that they get theirs.
    """

    def __init__(
        self,
        bound: socket.socket,
        make: Factory,
        connections: Connections,
        tls: ssl.SSLContext | None,
        *,
        is_shared: bool = False,
    ) -> None:
        self._is_shared = is_shared
        self._bound, self._make, self._connections, self._tls = bound, make, connections, tls
        self._loop = connections.loop
        self._waiting_since = 0.0  # when the oldest connection that was left to the next turn may have come
        self._opening: set[asyncio.Task[None]] = set()
        self._refused: list[tuple[float, socket.socket]] = []
        self._reserve = os.open(os.devnull, os.O_RDONLY)  # given up to accept, and refuse, one more connection
        bound.setblocking(False)
        bound.listen(BACKLOG)
        self._loop.add_reader(bound.fileno(), self._accept)

    def _accept(self) -> None:
        arrived = self._waiting_since or self._connections.clock.date()
        for _ in range(1 if self._is_shared else MOST_AT_ONCE):
            try:
                accepted, _ = self._bound.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                self._waiting_since = 0.0
                return
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    raise
                self._refuse_without_descriptor()
                return
            self._take(accepted, arrived)
        self._waiting_since = arrived

    def _take(self, accepted: socket.socket, arrived: float) -> None:
        accepted.setblocking(False)
        if not self._connections.has_room():
            self._refuse(accepted)
            return
        self._connections.opening += 1
        opening = self._loop.create_task(self._open(accepted, arrived))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)

    async def _open(self, accepted: socket.socket, arrived: float) -> None:
        handshake_s = None if self._tls is None else self._connections.limits.head_s
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._make(arrived), accepted, ssl=self._tls, ssl_handshake_timeout=handshake_s
            )
        except OSError:  # ssl.SSLError is one: the client is gone, or its handshake failed
            accepted.close()
        finally:
            self._connections.opening -= 1

    # --- No room -----------------------------------------------------------------------------------------

    def _refuse(self, accepted: socket.socket) -> None:
        """Say in a few bytes that there is no room, and keep the socket for a moment, so that they can be read."""
        answer = self._connections.refused(TooManyConnectionsError())
        try:
            if self._tls is None:
                accepted.recv(2**16)
        except OSError:
            pass  # it has sent nothing yet
        try:
            if self._tls is None:
                accepted.send(answer)
            accepted.shutdown(socket.SHUT_WR)
        except OSError:
            accepted.close()
            return
        self._refused.append((time.monotonic(), accepted))
        while len(self._refused) > MOST_REFUSED:
            self._refused.pop(0)[1].close()

    def sweep(self, now: float) -> None:
        """Close sockets of refused connections."""
        while self._refused and now - self._refused[0][0] > LINGER_S:
            self._refused.pop(0)[1].close()

    def _refuse_without_descriptor(self) -> None:
        """Refuse one connection with the reserved descriptor, and accept none for a while."""
        self._connections.note_dropped("descriptors")
        self._close_refused()
        if self._reserve >= 0:
            os.close(self._reserve)
        try:
            accepted, _ = self._bound.accept()
            accepted.setblocking(False)
            self._refuse(accepted)
            self._close_refused()
        except OSError:
            pass  # another thread was faster
        self._reserve = self._reopen_reserve()
        self._loop.remove_reader(self._bound.fileno())
        self._loop.call_later(PAUSE_S, self._resume)

    def _reopen_reserve(self) -> int:
        try:
            return os.open(os.devnull, os.O_RDONLY)
        except OSError:
            return -1

    def _resume(self) -> None:
        if self._bound.fileno() >= 0:
            self._loop.add_reader(self._bound.fileno(), self._accept)

    # --- The end -----------------------------------------------------------------------------------------

    def _close_refused(self) -> None:
        for _, refused in self._refused:
            refused.close()
        self._refused.clear()

    async def close(self) -> None:
        """Accept what waits, and listen no more, in such a way that nobody who has connected is reset.

        Closing a socket that listens resets the connections that wait to be accepted. So the kernel is first told to
        drop what would open a new one: a client tries that again after a second, and is then refused in a clear way.
        """
        if is_unix(self._bound):
            if not self._is_shared:
                remove(self._bound)
        elif drop_new_connections(self._bound):
            await asyncio.sleep(HANDSHAKES_S)
        self._accept()
        while self._waiting_since:
            self._accept()
        self._loop.remove_reader(self._bound.fileno())
        self._bound.close()
        self._close_refused()
        if self._reserve >= 0:
            os.close(self._reserve)


def drop_new_connections(listener: socket.socket) -> bool:
    """Have the kernel drop what opens a new connection, a SYN without ACK; return whether it does.

    Source: socket(7), SO_ATTACH_FILTER; the classic BPF program reads the flags of TCP, byte 13 of its header.
    """
    load, mask, test, end = 0x30, 0x54, 0x15, 0x06  # BPF_LD+B+ABS, BPF_ALU+AND, BPF_JMP+JEQ, BPF_RET
    program = [(load, 0, 0, 13), (mask, 0, 0, 0x12), (test, 0, 1, 0x02), (end, 0, 0, 0), (end, 0, 0, 2**32 - 1)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in program))
    try:
        listener.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(program), ctypes.addressof(code))
        )
    except OSError:
        return False
    return True


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a bound socket that does not listen yet. Raises `OSError` when the port is taken.

    Several processes of one user may have a `shared` one of the same port, over which Linux spreads new connections.
    """
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if host == EVERYWHERE:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # whatever the machine's default is
    if shared:
        share_port(bound)
    try:
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound


def bind_admin_or_end(settings: Settings, port: int, patience_s: float = 0.0) -> socket.socket:
    """Return a bound socket of the admin port, as `bind_main_or_end` does."""
    return bind_or_end(settings.admin_host or settings.host, port, "--admin-", patience_s)


def bind_main_or_end(settings: Settings, patience_s: float = 0.0) -> socket.socket:
    """Return a bound socket of `uds`, or of `host` and `port`; where that is not possible, end the command with a
    sentence.

    For `patience_s` it waits for a port that is taken.
    """
    if settings.uds is None:
        return bind_or_end(settings.host, settings.port, "--", patience_s)
    make = partial(bind_unix, settings.uds, settings.uds_mode)
    return made_or_end(make, str(settings.uds), {}, patience_s)


def bind_or_end(host: str, port: int, flags: str, patience_s: float) -> socket.socket:
    remedies = {code: remedy.format(flags) for code, remedy in PORT_REMEDIES.items()}
    return made_or_end(partial(bind, host, port), f"{host}:{port}", remedies, patience_s)


def made_or_end(
    make: Callable[[], socket.socket], place: str, remedies: Mapping[int, str], patience_s: float
) -> socket.socket:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return make()
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline:
                remedy = remedies.get(error.errno or 0, "name another place with --host, --port or --uds")
                reason = f"{error.strerror or error}; {remedy}"
                raise SystemExit(f"roberta-serve: cannot listen on {place}: {reason}") from None
        time.sleep(PAUSE_S)


def share_port(bound: socket.socket) -> None:
    """Let other sockets of this user bind the same port. Source: socket(7), SO_REUSEPORT."""
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def url_of(bound: socket.socket, scheme: str = "http") -> str:
    if is_unix(bound):
        return f"unix:{bound.getsockname()}"
    address, port = bound.getsockname()[:2]
    return f"{scheme}://[{address}]:{port}" if ":" in address else f"{scheme}://{address}:{port}"
