"""A client of roberta-serve: lists of any length, retries, deadlines, progress; blocking and asyncio.

    from roberta_client import Client

    with Client("http://localhost:8000") as client:
        for entities in client.ner(["Ada Byron met Bob in Paris.", "Nobody was there."]):
            print(entities)

A text or many, an answer is always a list with an entry for each. Many texts are sent in chunks, several of them at a
time. A chunk that the service is too busy for, or whose connection broke, is sent again: to ask twice changes nothing.
"""

from roberta_client.answers import Answer, Candidate, Entity, Label, Summary
from roberta_client.asynchronous import AsyncClient
from roberta_client.blocking import Client
from roberta_client.errors import ClientError, DeadlineError, RefusedError
from roberta_client.version import __version__

__all__ = [
    "Answer",
    "AsyncClient",
    "Candidate",
    "Client",
    "ClientError",
    "DeadlineError",
    "Entity",
    "Label",
    "RefusedError",
    "Summary",
    "__version__",
]
