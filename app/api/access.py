"""What of the pages is open, needs a key, or is off."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Depends, Request
from fastapi.params import Depends as Dependency

from app.api.key_file import Scope
from app.api.keys import Keyring
from app.api.openapi import SECURED
from app.errors import ForbiddenError, ServeError, UnauthorizedError
from app.settings import Page, Settings

SCOPES: dict[Page, Scope | None] = {"docs": None, "metrics": "metrics", "models": None}  # None: any key will do


class Access:
    """Guards the pages, as `settings.access` says; health and the page at `/` are never asked for a key.

    A page that the setting leaves out needs a key where there are any.
    """

    def __init__(self, settings: Settings, keys: Keyring) -> None:
        self._setting, self._keys = settings.access, keys

    def is_on(self, page: Page) -> bool:
        return self._setting.get(page) != "off"

    def needs_key(self, page: Page) -> bool:
        return page in SCOPES and self._setting.get(page) != "open" and not self._keys.is_open

    def described(self, page: Page) -> dict[str, Any]:
        """Return what the OpenAPI document says of the key that a route of `page` needs."""
        return SECURED if self.needs_key(page) else {}

    def errors(self, page: Page) -> tuple[type[ServeError], ...]:
        """Return the errors of `guard`."""
        kinds = (UnauthorizedError,) if SCOPES.get(page) is None else (UnauthorizedError, ForbiddenError)
        return kinds if self.needs_key(page) else ()

    def guard(self, page: Page) -> list[Dependency]:
        """Return what a route of `page` depends on."""
        if not self.needs_key(page):
            return []
        return [Depends(self._check(SCOPES[page]))]

    def _check(self, scope: Scope | None) -> Callable[[Request], Awaitable[None]]:
        async def check(request: Request) -> None:
            self._keys.check(dict(request.headers.raw), scope)

        return check
