"""What of the pages is open, needs a key, or is off."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Depends, Request
from fastapi.params import Depends as Dependency

from app.api.key_file import Scope
from app.api.keys import Keyring
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

    def guard(self, page: Page) -> list[Dependency]:
        """Return what a route of `page` depends on."""
        if page not in SCOPES or self._setting.get(page) == "open":
            return []
        return [Depends(self._check(SCOPES[page]))]

    def _check(self, scope: Scope | None) -> Callable[[Request], Awaitable[None]]:
        async def check(request: Request) -> None:
            self._keys.check(dict(request.headers.raw), scope)

        return check
