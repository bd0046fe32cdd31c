"""The added tokens of a tokenizer: which there are, in which order transformers adds them, and their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.bundle.manifest import BundleError
from app.bundle.vocabularies.base import FLAGS, Parts, Token


def added(token: Any) -> Token | None:
    """Return a special token as an added token: texts are taken as they are, tables with their flags."""
    if token is None:
        return None
    if isinstance(token, str):
        return {"content": token, **dict.fromkeys(FLAGS, False), "special": True}
    if not isinstance(token, dict) or not isinstance(token.get("content"), str):
        raise BundleError("tokenizer_config.json has a special token that is no text")
    flags = {flag: bool(token.get(flag, False)) for flag in FLAGS}
    return {"content": token["content"], **flags, "special": True}


def numbered(
    settings: Mapping[str, Any], named: Mapping[str, Token | None], parts: Parts
) -> tuple[list[Token], dict[str, int]]:
    """Return the added tokens with their numbers, in order: those of the vocabulary, or the next after it."""
    ids, found = dict(parts.ids), {}
    for token in in_order(settings, named, parts.extra):
        if token["content"] not in found:
            number = ids.setdefault(token["content"], len(ids))
            found[token["content"]] = {"id": number, **token}
    return sorted(found.values(), key=lambda token: token["id"]), ids


def in_order(
    settings: Mapping[str, Any], named: Mapping[str, Token | None], extra: tuple[Token, ...] | None
) -> Iterator[Token]:
    """Yield added tokens in the order in which transformers adds them; the first of a text counts."""
    decoder = settings.get("added_tokens_decoder") or {}
    special = {token["content"] for token in named.values() if token}
    for _, token in sorted(decoder.items(), key=lambda pair: int(pair[0])):
        is_special = bool(token.get("special", False)) or token["content"] in special
        flags = {flag: bool(token.get(flag, False)) for flag in FLAGS}
        yield {"content": token["content"], **flags, "special": is_special}
    yield from (token for token in named.values() if token)
    further = settings.get("additional_special_tokens") if extra is None else extra
    for tokens in (further or [], settings.get("extra_special_tokens") or []):
        for token in tokens.values() if isinstance(tokens, dict) else tokens:
            if (made := added(token)) is not None:
                yield made
