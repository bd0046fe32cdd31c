"""API keys: who may do what, how much of it, and how the file of keys is followed while the service runs."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import Counter

from app.api.key_file import KeyEntry, KeyFileError, Scope, digest_of, read_key_file
from app.api.key_limits import Usage, usage_here
from app.api.request import Headers
from app.errors import ForbiddenError, RateLimitedError, UnauthorizedError
from app.metrics import Metrics
from app.settings import Settings

LOOK_EVERY_S = 1.0
LONGEST_KEY = 512  # bytes; nothing longer is hashed
BUSY_RETRY_S = 1.0  # when one of a key's requests will end is not known

Signature = tuple[int, ...] | None

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Key:
    """One who may ask: by a key, or anybody where no key is configured."""

    name: str
    digest: bytes
    scopes: frozenset[Scope]
    highest_priority: int = 10
    requests_per_s: float | None = None
    concurrent_requests: int | None = None
    usage: Usage | None = None
    requests: Counter | None = None
    limited: Counter | None = None

    def enter(self) -> None:
        """Count a request that begins. Raises `RateLimitedError` beyond the key's limits; else `leave` must follow."""
        if self.requests is not None:
            self.requests.inc()
        if self.usage is None:
            return
        if self.concurrent_requests is not None and self.usage.in_hand() >= self.concurrent_requests:
            self._refuse(f"this key may have {self.concurrent_requests} requests in hand at once", BUSY_RETRY_S)
        if self.requests_per_s is not None and (wait := self.usage.wait_s(self.requests_per_s, time.monotonic())):
            self._refuse(f"this key may send {self.requests_per_s:g} requests per second", wait)
        self.usage.begin()

    def leave(self) -> None:
        """Count the end of a request that was let in."""
        if self.usage is not None:
            self.usage.end()

    def _refuse(self, reason: str, retry_after_s: float) -> None:
        if self.limited is not None:
            self.limited.inc()
        raise RateLimitedError(reason, retry_after_s)


ANYBODY = Key("", b"", frozenset[Scope](("predict", "metrics")))  # where no key is configured


class Keyring:
    """The keys of the settings and those of the file, which is read again when it has changed.

    A file that cannot be used leaves the keys of before. `usage_of` makes the usage of a key's name. Raises
    `KeyFileError` when the file cannot be used at the start.
    """

    def __init__(
        self, settings: Settings, metrics: Metrics, usage_of: Callable[[str], Usage] = lambda _: usage_here()
    ) -> None:
        self._path, self._metrics, self._usage_of = settings.api_keys_file, metrics, usage_of
        self._usages: dict[str, Usage] = {}
        self._given = [
            self._key(f"api_keys-{number}", digest_of(key.get_secret_value().encode()), ("predict", "metrics"))
            for number, key in enumerate(settings.api_keys, 1)
        ]
        self._signature: Signature = None
        self._by_digest = {key.digest: key for key in self._given}
        self._look_at = time.monotonic() + LOOK_EVERY_S
        if self._path is not None:
            self._signature = signature_of(self._path)
            self._read(self._path)

    @property
    def is_open(self) -> bool:
        """Whether no key is configured, so that anybody may predict."""
        return self._path is None and not self._given

    def check(self, headers: Headers, scope: Scope | None) -> Key:
        """Return the key that a request carries, which has `scope`; None asks for any key.

        Raises `UnauthorizedError` without a known key, `ForbiddenError` where it lacks the scope. Without configured
        keys anybody may do everything but administer; the token that Hugging Face clients send is ignored then. The
        header is hashed and forgotten: it never reaches a log.
        """
        if self._path is not None and time.monotonic() >= self._look_at:
            self._look(self._path)
        key = ANYBODY if self.is_open else self._find(headers)
        if scope is not None and scope not in key.scopes:
            raise ForbiddenError(f"a key with the scope `{scope}` is needed")
        return key

    def _find(self, headers: Headers) -> Key:
        """Find a key by its digest, so that the time it takes says nothing of any key."""
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        given = given.strip()
        if scheme.lower() == b"bearer" and 0 < len(given) <= LONGEST_KEY:
            digest = digest_of(given)
            key = self._by_digest.get(digest)
            if key is not None and hmac.compare_digest(key.digest, digest):
                return key
        raise UnauthorizedError("a valid API key is needed: send `Authorization: Bearer <key>`")

    def _look(self, path: Path) -> None:
        """Read the file again where it is another than before."""
        self._look_at = time.monotonic() + LOOK_EVERY_S
        if (signature := signature_of(path)) == self._signature:
            return
        self._signature = signature
        try:
            self._read(path)
        except KeyFileError as error:
            log.error("api_keys_kept", reason=f"api_keys_file {error}")
        else:
            log.info("api_keys_loaded", keys=len(self._by_digest))

    def _read(self, path: Path) -> None:
        keys = [*self._given]
        for name, entry in read_key_file(path).items():
            keys += self._keys_of(name, entry)
        self._by_digest = {key.digest: key for key in keys}

    def _keys_of(self, name: str, entry: KeyEntry) -> Iterable[Key]:
        """Yield a key for each digest of an entry; they share its name and its limits."""
        usage = None
        if entry.requests_per_s is not None or entry.concurrent_requests is not None:
            usage = self._usages.get(name) or self._usages.setdefault(name, self._usage_of(name))
        for digest in entry.sha256:
            yield self._key(
                name,
                bytes.fromhex(digest),
                entry.scopes,
                highest_priority=entry.highest_priority,
                requests_per_s=entry.requests_per_s,
                concurrent_requests=entry.concurrent_requests,
                usage=usage,
            )

    def _key(self, name: str, digest: bytes, scopes: Iterable[Scope], **limits: Any) -> Key:
        requests, limited = self._metrics.key_requests.labels(name), self._metrics.key_limited.labels(name)
        return Key(name, digest, frozenset(scopes), requests=requests, limited=limited, **limits)


def signature_of(path: Path) -> Signature:
    """Return what tells one state of a file from another, links followed; None where it cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
