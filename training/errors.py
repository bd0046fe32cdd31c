"""What a user can mend, as one sentence."""

from __future__ import annotations

import errno

REFUSED = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR),
    errno.ENAMETOOLONG,
)
FULL = ("No space left on device", "os error 28", "PytorchStreamWriter failed writing", "inline_container")


class ExpectedError(Exception):
    """Ends a command with exit status 1; the message is one sentence that says what to do."""


def is_disk_full(error: BaseException) -> bool:
    """Whether an error of Python, torch or safetensors means that the disk is full."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return True
    return any(sign in str(error) for sign in FULL)


def refusal(error: BaseException) -> str | None:
    """Return what to do about what a user can mend, as one sentence; None for any other error."""
    from app.bundle import BundleError  # with numpy and pydantic, which help does not need
    from app.bundle.defaults import DefaultsError

    if isinstance(error, ExpectedError | BundleError | DefaultsError):
        return str(error)
    path = getattr(error, "filename", None)
    where = f"{path}: " if path else ""
    if is_disk_full(error):
        return f"{where}the disk is full; free some space and run the same command again"
    if isinstance(error, OSError) and error.errno in REFUSED:
        return f"{where}{error.strerror}; name another place, or change its permissions, and run the command again"
    return None
