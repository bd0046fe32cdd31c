"""Every error that the service answers with. Each knows its code, its HTTP status and its sentence.

* ServeError
  - BadRequestError           400
  - MalformedBodyError        400
  - UnauthorizedError         401
  - ForbiddenError            403
  - ModelNotFoundError        404
  - RouteNotFoundError        404
  - MethodNotAllowedError     405
  - HeadTimeoutError          408
  - OrderRefusedError         409
  - RequestTooLargeError      413
  - UnsupportedMediaTypeError 415
  - UnsupportedCodingError    415
  - InvalidRequestError       422
  - QueueFullError            429
  - DisplacedError            429
  - RateLimitedError          429
  - HeadTooLargeError         431
  - ClientGoneError           499  nobody reads it
  - InferenceFailedError      500
  - InternalError             500
  - NotReadyError             503
    - DrainingError           503
  - TooManyConnectionsError   503
  - EngineLostError           503
  - DeadlineExceededError     504
  - DeadlineUnmeetableError   504
"""

from __future__ import annotations

from typing import ClassVar

MOST_QUOTED = 80  # characters of a name


def quote(name: str) -> str:
    """Quote the beginning of a name that a caller sent, with everything that is not printable escaped."""
    return repr(name if len(name) <= MOST_QUOTED else f"{name[:MOST_QUOTED]}...")


class ServeError(Exception):
    """Base of the tree. The message is one sentence for the caller: what is wrong, and what to do.

    Every kind has the same two arguments, the message and the seconds after which the caller may try again, so that an
    error of another process can be rebuilt from its code. A kind may have defaults of its own for both.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    before_work: ClassVar[bool] = True  # the request was refused before anything was computed for it
    default_message: ClassVar[str] = "the request cannot be answered"
    retry_after_s: float | None = None

    def __init__(self, message: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(self.default_message if message is None else message)
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s

    @property
    def message(self) -> str:
        return str(self)


class BadRequestError(ServeError):
    """What was sent is not an HTTP/1.1 request. The connection is closed."""

    code, status = "bad_request", 400
    default_message = "this is not a valid HTTP/1.1 request"


class MalformedBodyError(ServeError):
    """The body is not JSON in UTF-8."""

    code, status = "malformed_body", 400


class UnauthorizedError(ServeError):
    """No API key, or one that is not configured."""

    code, status = "unauthorized", 401


class ForbiddenError(ServeError):
    """The API key is known, but not for this."""

    code, status = "forbidden", 403


class OrderRefusedError(ServeError):
    """What was ordered cannot be done; the message says why, and what was served before is served still."""

    code, status = "order_refused", 409


class ModelNotFoundError(ServeError):
    """No loaded model has that name, version or task."""

    code, status = "model_not_found", 404


class RouteNotFoundError(ServeError):
    """There is nothing at that path."""

    code, status = "not_found", 404


class MethodNotAllowedError(ServeError):
    """The path exists, but not for that method."""

    code, status = "method_not_allowed", 405


class HeadTimeoutError(ServeError):
    """The head of a request was not received in time. The connection is closed."""

    code, status = "head_timeout", 408
    default_message = "the request's head was not received in time"


class RequestTooLargeError(ServeError):
    """The body, the number of its inputs, values, characters or tokens, or the size of the answer is over a limit."""

    code, status = "request_too_large", 413


class UnsupportedMediaTypeError(ServeError):
    """The body is announced as something other than JSON."""

    code, status = "unsupported_media_type", 415


class UnsupportedCodingError(ServeError):
    """The body is compressed in a way that is not understood; the header `Accept-Encoding` says which are."""

    code, status = "unsupported_coding", 415
    accepted: ClassVar[str] = "gzip, deflate, br"
    default_message = f"the body's Content-Encoding must be one of {accepted}, or left out"


class InvalidRequestError(ServeError):
    """A field or header is missing, unknown or out of range; the message names it."""

    code, status = "invalid_request", 422


class QueueFullError(ServeError):
    """There is no room for the request's tokens or its answer now, or the work ahead of it takes too long."""

    code, status = "queue_full", 429


class RateLimitedError(ServeError):
    """The API key has used up its rate, or has as many requests in hand as it may."""

    code, status = "rate_limited", 429


class HeadTooLargeError(ServeError):
    """The request line, the headers and trailers together, or their number are over the limit."""

    code, status = "head_too_large", 431
    default_message = "the request's head is too large, or has too many headers"


class DisplacedError(ServeError):
    """The request waited, and gave way to one of higher priority that could not be answered in time otherwise."""

    code, status = "displaced", 429
    default_message = "the request gave way to requests of higher priority; try again later"


class InferenceFailedError(ServeError):
    """The model failed on this request. The cause is in the log, not in the answer."""

    code, status = "inference_failed", 500
    before_work = False


class InternalError(ServeError):
    """A defect of the service. The cause is in the log, not in the answer."""

    code, status = "internal_error", 500
    before_work = False


class NotReadyError(ServeError):
    """Models are loading, none loaded, or the service is shutting down."""

    code, status = "not_ready", 503
    retry_after_s = 1.0


class DrainingError(NotReadyError):
    """The service is shutting down."""

    default_message = "the service is shutting down"


class TooManyConnectionsError(ServeError):
    """The service has as many connections as it takes. The connection is closed."""

    code, status = "too_many_connections", 503
    retry_after_s = 1.0
    default_message = "too many connections are open; try again in a moment"


class EngineLostError(ServeError):
    """The process that runs the models ended while it had the request, and so did the one that was asked next."""

    code, status = "engine_lost", 503
    before_work = False
    retry_after_s = 1.0


class DeadlineExceededError(ServeError):
    """The deadline passed before the answer was ready."""

    code, status = "deadline_exceeded", 504
    before_work = False
    default_message = "the deadline passed before the answer was ready"


class DeadlineUnmeetableError(ServeError):
    """The queue is too long for the request's deadline; it was refused at once."""

    code, status = "deadline_unmeetable", 504


class ClientGoneError(ServeError):
    """The client closed the connection; nobody reads this. 499 is nginx's code for it."""

    code, status = "client_gone", 499
    before_work = False


def said_by(error: BaseException) -> str:
    """Return the first line of what a library says went wrong, as part of a sentence; the kind of error if it says
    nothing."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
