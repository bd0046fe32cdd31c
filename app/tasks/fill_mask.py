"""Fill-mask: the vocabulary is projected on masked positions only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, Field
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on

from app.bundle import Graph, Manifest
from app.errors import InvalidRequestError, RequestTooLargeError
from app.tasks.base import Encoded, Strict, Task, Text, TextsRequest, by_input
from app.tasks.text import EncodedText, TextEncoder
from app.window import Floats, Window

GENERIC_MASK = "[MASK]"  # understood in every request, whatever the model's own mask token
EXAMPLE: dict[str, Any] = {"inputs": f"Paris is the {GENERIC_MASK} of France."}
WORD_START = "▁"  # SentencePiece begins a word with it; its decoder drops the space of a single token
MOST_LOGITS = 2**25  # of one request: 128 MiB, 667 masks of RoBERTa's vocabulary
MOST_CHARACTERS = 2**24  # in one answer's sequences

Targets = Callable[[bool], list[int] | None]  # from "a space precedes the mask" to the tokens that may fill it


class FillMaskParameters(Strict):
    top_k: int = Field(5, ge=1, le=1000, description="Candidates for each mask.")
    targets: Annotated[list[Text], Field(min_length=1, max_length=1000, fail_fast=True)] | None = Field(
        None, description="Choose among these words only; each must be one token of the vocabulary."
    )


class FillMaskRequest(TextsRequest):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    parameters: FillMaskParameters = FillMaskParameters()

    def count_characters(self) -> int:
        return super().count_characters() + sum(map(len, self.parameters.targets or []))


class Candidate(TypedDict):
    score: float
    token: int
    token_str: str
    sequence: str


@dataclass(frozen=True, slots=True)
class Mask:
    """One mask in one text: its range in code points, and the tokens it may become (None: any)."""

    text: str
    start: int
    end: int
    targets: list[int] | None


@dataclass(frozen=True, slots=True)
class MaskedText:
    """The masks of one text, in the order in which its windows answer them, and the number of those windows."""

    masks: list[Mask]
    windows: int


class FillMask(Task[FillMaskRequest, list[MaskedText]]):
    """The likeliest tokens for each mask of each text. State: the masks of each text."""

    name = "fill-mask"
    route = "fill-mask"
    architecture = "ForMaskedLM"
    has_labels = False
    request_type = FillMaskRequest
    answer_type = list[Candidate] | list[list[Candidate]] | list[list[list[Candidate]]]
    example = EXAMPLE

    def __init__(self, manifest: Manifest, encoder: TextEncoder, graph: Graph) -> None:
        super().__init__(manifest, encoder, graph)
        self.mask_token, self.mask_id = mask_token_of(encoder)
        added = encoder.tokenizer.get_added_tokens_decoder().get(self.mask_id)
        self.takes_space = added is not None and added.lstrip  # RoBERTa's `<mask>` takes the space before it
        self.special_ids = {i for i, token in encoder.tokenizer.get_added_tokens_decoder().items() if token.special}
        self.continuation: str | None = getattr(encoder.tokenizer.model, "continuing_subword_prefix", None)
        self.vocabulary = encoder.tokenizer.get_vocab_size()

    @classmethod
    def width(cls, manifest: Manifest, config: dict[str, Any]) -> int | None:
        words = config.get("vocab_size")
        return words if isinstance(words, int) else None

    def encode(self, request: FillMaskRequest) -> Encoded[list[MaskedText]]:
        texts = [text.replace(GENERIC_MASK, self.mask_token) for text in request.texts()]
        encoded = self.encoder.encode(texts, truncate=request.truncate)
        masks = [self.masks_in(text) for text in encoded]
        for number, at in enumerate(masks):
            if not at:
                raise InvalidRequestError(f"inputs: text {number} has no {self.mask_token} to fill")
        self.check_size(encoded, masks, request.parameters)

        @cache
        def targets(after_space: bool) -> list[int] | None:
            words = request.parameters.targets
            return None if words is None else [self.target_id(word, after_space) for word in words]

        found = [self.mask_windows(text, at, targets) for text, at in zip(encoded, masks, strict=True)]
        return Encoded([window for _, windows in found for window in windows], [masked for masked, _ in found])

    def masks_in(self, text: EncodedText) -> list[int]:
        """Return the positions of the masks among the tokens that are answered."""
        return [i for i, token in enumerate(text.ids[: text.pieces[-1].home_end]) if token == self.mask_id]

    def check_size(
        self, texts: Sequence[EncodedText], masks: Sequence[list[int]], parameters: FillMaskParameters
    ) -> None:
        """Raise `RequestTooLargeError` for so many masks, or so much text in the answer, that memory might not suffice.

        Each mask has a logit for every word of the vocabulary, and each of its candidates is answered with the text.
        """
        if (count := sum(map(len, masks))) > (most := MOST_LOGITS // self.vocabulary):
            raise RequestTooLargeError(f"inputs has {count} masks; at most {most} are filled at once")
        candidates = min(parameters.top_k, len(parameters.targets or ()) or self.vocabulary)
        repeated = candidates * sum(len(text.text) * len(at) for text, at in zip(texts, masks, strict=True))
        if repeated > MOST_CHARACTERS:
            raise RequestTooLargeError(
                f"the answer would repeat texts over {repeated:,} characters, at most {MOST_CHARACTERS:,} are sent; "
                "ask for fewer masks or texts at once, or a lower top_k"
            )

    def mask_windows(self, text: EncodedText, at: list[int], targets: Targets) -> tuple[MaskedText, list[Window]]:
        """Make a window for each piece that is home to a mask, with the masks as its head rows."""
        offsets = text.encoding.offsets
        masks, windows = [], []
        for piece in text.pieces:
            home = [i for i in at if piece.home_start <= i < piece.home_end]
            if home:
                rows = np.array(home, np.int64) - piece.start + len(self.encoder.special.prefix)
                windows.append(self.encoder.window(text.ids, piece, rows))
                masks += [self.mask_at(text.text, *offsets[i], targets) for i in home]
        return MaskedText(masks, len(windows)), windows

    def mask_at(self, text: str, start: int, end: int, targets: Targets) -> Mask:
        """Describe one mask; its range takes in the space that the mask token stands for."""
        start = len(text[:start].rstrip()) if self.takes_space else start
        after_space = text[start : start + 1].isspace() or text[:start].endswith(" ")
        return Mask(text, start, end, targets(after_space))

    def target_id(self, target: str, after_space: bool) -> int:
        """Return the token of a target word. Raises `InvalidRequestError` when it is not exactly one."""
        for form in [f" {target}", target] if after_space else [target, f" {target}"]:
            ids = self.encoder.tokenizer.encode(form, add_special_tokens=False).ids
            if len(ids) == 1 and ids[0] not in self.special_ids:  # an unknown word is `[UNK]`
                return ids[0]
        raise InvalidRequestError(f"parameters.targets: {target!r} is not one token of this model's vocabulary")

    def decode(self, request: FillMaskRequest, state: list[MaskedText], outputs: Sequence[Floats]) -> Any:
        answers: list[Any] = []
        for text, parts in zip(state, by_input(outputs, (text.windows for text in state)), strict=True):
            rows = [row for part in parts for row in part]  # (vocabulary,) for each mask
            filled = [
                self.fill(mask, row, request.parameters.top_k) for mask, row in zip(text.masks, rows, strict=True)
            ]
            answers.append(filled[0] if len(filled) == 1 else filled)
        return answers if isinstance(request.inputs, list) else answers[0]

    def fill(self, mask: Mask, logits: Floats, top_k: int) -> list[Candidate]:
        """Rank the candidates of one mask by their share of the whole vocabulary's probability."""
        scaled = logits / self.temperature  # (vocabulary,)
        exponents = np.exp(scaled - scaled.max())
        total = exponents.sum()
        if mask.targets is None:
            best = top(scaled, top_k)
        else:
            among = np.array(list(dict.fromkeys(mask.targets)))
            best = among[top(scaled[among], top_k)]
        return [self.candidate(mask, int(token), float(exponents[token] / total)) for token in best]

    def candidate(self, mask: Mask, token: int, score: float) -> Candidate:
        written = self.encoder.tokenizer.decode([token], skip_special_tokens=False)
        before, after = mask.text[: mask.start], mask.text[mask.end :]
        piece, filling = self.encoder.tokenizer.id_to_token(token) or "", written
        if self.continuation and piece.startswith(self.continuation):  # WordPiece: goes on with the word before
            before, filling = before.rstrip(), piece.removeprefix(self.continuation)
        elif before and self.takes_space and piece.startswith(WORD_START):
            filling = f" {written}"
        return Candidate(score=score, token=token, token_str=written, sequence=f"{before}{filling}{after}")

    def probe(self, text: str) -> Window:
        return self.encode(FillMaskRequest(inputs=text, truncate=True)).windows[0]


def top(values: Floats, k: int) -> np.ndarray:
    """Return the indices of the `k` greatest values, greatest first."""
    if k < len(values):
        chosen = np.argpartition(values, len(values) - k)[-k:]
        return chosen[np.argsort(-values[chosen], kind="stable")]
    return np.argsort(-values, kind="stable")


def mask_token_of(encoder: TextEncoder) -> tuple[str, int]:
    """Return the tokenizer's mask token and its id: `<mask>` for RoBERTa, `[MASK]` for BERT."""
    for token in ("<mask>", GENERIC_MASK):
        token_id = encoder.tokenizer.token_to_id(token)
        if token_id is not None:
            return token, token_id
    raise ValueError("the tokenizer has no mask token")
