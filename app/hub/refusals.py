"""What huggingface_hub raises, as sentences that say what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is that of the HTTP library
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    RevisionResolutionError,
)

from app.hub.errors import HubError

FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
AWAY = (LocalEntryNotFoundError, RevisionResolutionError, OfflineModeIsEnabled)


@contextmanager
def refusals_as_sentences(repository: str, revision: str) -> Iterator[None]:
    """Raise `HubError` in place of what the client raises on a repository."""
    try:
        yield
    except HFValidationError:
        raise HubError(f"{repository!r} is no name of a repository; give ORG/NAME, such as acme/reviews") from None
    except (HfHubHTTPError, OSError, HTTPError, RevisionResolutionError) as error:
        raise HubError(sentence_for(error, repository, revision)) from error


def sentence_for(error: Exception, repository: str, revision: str) -> str:
    """Return what is wrong, and what to do."""
    hub = constants.ENDPOINT
    if isinstance(error, GatedRepoError):
        return (
            f"{repository} is gated: accept its terms at {hub}/{repository}, and set HF_TOKEN to a token of the "
            "account that did"
        )
    if isinstance(error, RepositoryNotFoundError):
        return f"{hub} has no model {repository}, or it is private; check its name, or set HF_TOKEN to a token for it"
    if isinstance(error, RevisionNotFoundError):
        return f"{repository} has no revision {revision!r}; {hub}/{repository}/tree/main lists its branches and tags"
    if isinstance(error, DisabledRepoError):
        return f"{repository} was disabled at {hub}; choose another model"
    if isinstance(error, HfHubHTTPError):
        return refused(error.response.status_code, repository)
    if isinstance(error, (*AWAY, HTTPError)):
        return away(error, repository, revision)
    if isinstance(error, OSError) and error.errno in (*FULL, *FORBIDDEN):
        return of_cache(error, constants.HF_HUB_CACHE)
    if isinstance(error, EntryNotFoundError):
        return f"a file of {repository} is gone from {hub}; try again"
    return f"{repository} cannot be fetched: {first_line(error)}; try again"


def of_cache(error: OSError | ValueError, cache: str) -> str:
    """Say why nothing can be kept in a cache."""
    code = getattr(error, "errno", None)
    if code in FULL:
        return f"the disk of the cache {cache} is full; make room, or set HF_HOME to another disk"
    if code in FORBIDDEN:
        return f"the cache {cache} cannot be written to; set HF_HOME to a folder that can"
    return f"the cache {cache} cannot be used: {error}; set HF_HOME to another folder"


def away(error: Exception, repository: str, revision: str) -> str:
    """Say that the Hub cannot be asked, and that the cache does not have what is wanted."""
    cache = f"and the cache {constants.HF_HUB_CACHE} does not have {repository}@{revision} whole"
    if constants.is_offline_mode():
        return f"HF_HUB_OFFLINE is set, {cache}; unset it, or fetch it once with `roberta-serve pull {repository}`"
    cause = root_of(error)
    return (
        f"{constants.ENDPOINT} cannot be reached ({first_line(cause)}), {cache}; look at the network, proxy and "
        "HF_ENDPOINT, and try again"
    )


def refused(status: int, repository: str) -> str:
    hub = constants.ENDPOINT
    if status == 401:
        return f"{hub} does not take the token for {repository}; set HF_TOKEN to a valid one, or unset it"
    if status == 403:
        return f"{hub} forbids {repository} to this token; set HF_TOKEN to one that may read it"
    if status == 429:
        return f"{hub} takes no more requests for now (429); try again later, or set HF_TOKEN for a higher limit"
    return f"{hub} answered {status} for {repository}; try again later"


def root_of(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.:')[:200]}" if lines else type(error).__name__
