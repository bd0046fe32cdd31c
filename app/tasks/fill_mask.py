"""Fill-mask: the vocabulary is projected on masked positions only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, Discriminator, Field, Tag
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on

from app.bundle import Graph, Manifest
from app.errors import InvalidRequestError, RequestTooLargeError
from app.tasks.base import ONE_OR_MORE, Answered, Encoded, Task, Text, TextsRequest, branch_of, by_input
from app.tasks.parameters import WHOLE, NullIs, Parameters
from app.tasks.text import EncodedText, Piece, TextEncoder
from app.window import Floats, Ints, Ranking, Window, greatest

GENERIC_MASK = "[MASK]"  # understood in every request, whatever the model's own mask token
EXAMPLE: dict[str, Any] = {"inputs": f"Paris is the {GENERIC_MASK} of France."}
WORD_START = "▁"  # SentencePiece begins a word with it; its decoder drops the space of a single token
MOST_LOGITS = 2**22  # of one window: 16 MiB, 83 masks of RoBERTa's vocabulary
MOST_KEPT = 2**21  # numbers of one request: 8 MiB
MOST_CHARACTERS = 2**22  # in one answer's sequences
CANDIDATE_CHARACTERS = 64  # of a candidate beside its sequence
NUMBER_BYTES, CHARACTER_BYTES = 8, 2  # of a kept number and of an answer's character, copies included


Word = Annotated[Text, Field(max_length=256)]


Targets = Annotated[
    Annotated[Word, Tag("<text>")]
    | Annotated[list[Word], Field(min_length=1, max_length=1000, fail_fast=True), Tag("<list>")],
    Discriminator(
        branch_of, custom_error_type="targets_type", custom_error_message="must be a word or a list of words"
    ),
]


class FillMaskParameters(Parameters):
    top_k: Annotated[int, Field(ge=1, le=1000), WHOLE, NullIs(5)] = Field(5, description="Candidates for each mask.")
    targets: Targets | None = Field(
        None,
        description="Choose among these words only; each must be one token of the vocabulary, or is one as the "
        "vocabulary writes it (`Ġcapital`, `##ing`).",
    )

    @property
    def words(self) -> list[str] | None:
        """The targets."""
        return [self.targets] if isinstance(self.targets, str) else self.targets


Masked = Annotated[Text, Field(json_schema_extra={"pattern": r"\[MASK\]|<mask>"})]  # `encode` refuses all else


class FillMaskRequest(TextsRequest):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    inputs: Annotated[
        Annotated[Masked, Tag("<text>")] | Annotated[list[Masked], Field(min_length=1, fail_fast=True), Tag("<list>")],
        ONE_OR_MORE,
    ]

    parameters: Annotated[FillMaskParameters, NullIs(FillMaskParameters())] = FillMaskParameters()

    def count_characters(self) -> int:
        return super().count_characters() + sum(map(len, self.parameters.words or []))


class Candidate(TypedDict):
    score: float
    token: int
    token_str: str
    sequence: str


@dataclass(frozen=True, slots=True)
class Mask:
    """One mask in one text: its range in code points, and whether a space precedes it."""

    text: str
    start: int
    end: int
    after_space: bool


@dataclass(frozen=True, slots=True)
class MaskedText:
    """The masks of one text, in the order in which its windows answer them, and the number of those windows."""

    masks: list[Mask]
    windows: int


@dataclass(frozen=True, slots=True)
class Masks:
    """The masks of each text, and what they may become, by whether a space precedes them; None: any token.

    The columns that are kept of a row of logits are those of `targets`, one array after the other.
    """

    texts: list[MaskedText]
    targets: dict[bool, Ints] | None

    def ranking(self, best: int, temperature: float) -> Ranking:
        columns = None if self.targets is None else np.concatenate(list(self.targets.values()))
        return Ranking(best, temperature, columns)

    def of(self, mask: Mask) -> tuple[Ints, slice]:
        """Return what one mask may become, and where these tokens are among the columns."""
        assert self.targets is not None
        start = len(self.targets[False]) if mask.after_space and False in self.targets else 0
        tokens = self.targets[mask.after_space]
        return tokens, slice(start, start + len(tokens))


class FillMask(Task[FillMaskRequest, Masks]):
    """The likeliest tokens for each mask of each text."""

    name = "fill-mask"
    route = "fill-mask"
    architecture = "ForMaskedLM"
    has_labels = False
    request_type = FillMaskRequest
    answer_type = list[Candidate] | list[list[Candidate]] | list[list[list[Candidate]]]
    example = EXAMPLE
    answered = Answered(
        {**EXAMPLE, "parameters": {"top_k": 1}},
        [{"score": 0.339, "token": 812, "token_str": " capital", "sequence": "Paris is the capital of France."}],
    )

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

    def encode(self, request: FillMaskRequest) -> Encoded[Masks]:
        texts = [text.replace(GENERIC_MASK, self.mask_token) for text in request.texts()]
        parameters = request.parameters
        encoded = self.encoder.encode(texts, truncate=request.truncates, max_length=parameters.max_length)
        found = [self.masks_in(text) for text in encoded]
        for number, at in enumerate(found):
            if not at:
                raise InvalidRequestError(f"inputs: text {number} has no {self.mask_token} to fill")
        candidates = min(parameters.top_k, len(parameters.words or ()) or self.vocabulary)
        characters = self.check_answer(encoded, found, candidates)
        groups = [self.groups(text, at) for text, at in zip(encoded, found, strict=True)]
        masked = [
            MaskedText([self.mask_at(text, i) for _, at in group for i in at], len(group))
            for text, group in zip(encoded, groups, strict=True)
        ]
        masks = Masks(masked, self.targets_of(masked, parameters.words))
        ranking = masks.ranking(candidates, self.temperature)
        kept = self.check_kept(sum(map(len, found)), ranking)
        windows = [
            self.mask_window(text, piece, at, ranking)
            for text, group in zip(encoded, groups, strict=True)
            for piece, at in group
        ]
        return Encoded(windows, masks, NUMBER_BYTES * kept + CHARACTER_BYTES * characters)

    def masks_in(self, text: EncodedText) -> list[int]:
        """Return the positions of the masks among the tokens that are answered."""
        return [i for i, token in enumerate(text.ids[: text.pieces[-1].home_end]) if token == self.mask_id]

    def check_answer(self, texts: Sequence[EncodedText], masks: Sequence[list[int]], candidates: int) -> int:
        """Return the characters of the answer: each candidate of a mask is answered with the text.

        Raises `RequestTooLargeError` where they are too many.
        """
        lengths = (len(text.text) + CANDIDATE_CHARACTERS for text in texts)
        repeated = candidates * sum(length * len(at) for length, at in zip(lengths, masks, strict=True))
        if repeated > MOST_CHARACTERS:
            raise RequestTooLargeError(
                f"the answer would have {repeated:,} characters, at most {MOST_CHARACTERS:,} are sent; "
                "ask for fewer masks or texts at once, or a lower top_k"
            )
        return repeated

    def check_kept(self, masks: int, ranking: Ranking) -> int:
        """Return how many numbers are kept for so many masks. Raises `RequestTooLargeError` where they are too many."""
        if masks > (most := MOST_KEPT // ranking.width):
            raise RequestTooLargeError(
                f"inputs has {masks} masks; at most {most} are filled at once, with so many candidates"
            )
        return masks * ranking.width

    def groups(self, text: EncodedText, at: list[int]) -> list[tuple[Piece, list[int]]]:
        """Return each piece that is home to masks with these masks, as often as their logits fill a window's share."""
        most, result = max(1, MOST_LOGITS // self.vocabulary), []
        for piece in text.pieces:
            home = [i for i in at if piece.home_start <= i < piece.home_end]
            result += [(piece, home[start : start + most]) for start in range(0, len(home), most)]
        return result

    def mask_window(self, text: EncodedText, piece: Piece, at: list[int], ranking: Ranking) -> Window:
        """Return a window of one piece, with masks as its head rows."""
        rows = np.array(at, np.int64) - piece.start + len(self.encoder.special.prefix)
        return replace(self.encoder.window(text.ids, piece, rows), ranking=ranking)

    def mask_at(self, encoded: EncodedText, index: int) -> Mask:
        """Describe one mask; its range takes in the space that the mask token stands for."""
        text, (start, end) = encoded.text, encoded.spans[index].tolist()
        start = len(text[:start].rstrip()) if self.takes_space else start
        after_space = text[start : start + 1].isspace() or text[:start].endswith(" ")
        return Mask(text, start, end, after_space)

    def targets_of(self, texts: Sequence[MaskedText], words: Sequence[str] | None) -> dict[bool, Ints] | None:
        """Return the tokens of target words, without repetition, after no space and after one, where masks are so."""
        if words is None:
            return None
        kinds = sorted({mask.after_space for text in texts for mask in text.masks})
        forms = [words, [f" {word}" for word in words]]
        tokens = [self.encoder.tokenizer.encode_batch_fast(form, add_special_tokens=False) for form in forms]
        bare, spaced = ([each.ids for each in form] for form in tokens)
        found = {False: zip(bare, spaced, strict=True), True: zip(spaced, bare, strict=True)}
        tokens_of = {
            kind: [self.only_token(number, words[number], *each) for number, each in enumerate(found[kind])]
            for kind in kinds
        }
        return {kind: np.array(list(dict.fromkeys(each)), np.int64) for kind, each in tokens_of.items()}

    def only_token(self, number: int, word: str, *forms: list[int]) -> int:
        """Return the token of a target word, in the first form that is one. Raises `InvalidRequestError`."""
        as_written = self.encoder.tokenizer.token_to_id(word)
        for ids in (*forms, [] if as_written is None else [as_written]):
            if len(ids) == 1 and ids[0] not in self.special_ids:  # an unknown word is `[UNK]`
                return ids[0]
        raise InvalidRequestError(f"parameters.targets.{number}: is not one token of this model's vocabulary")

    def decode(self, request: FillMaskRequest, state: Masks, outputs: Sequence[Floats]) -> Any:
        top_k = request.parameters.top_k
        parts = by_input(outputs, (text.windows for text in state.texts))
        answers = (self.fill_text(state, *each, top_k) for each in zip(state.texts, parts, strict=True))
        return answers if isinstance(request.inputs, list) else next(answers)

    @classmethod
    def columns(cls, request: FillMaskRequest) -> dict[str, Any]:
        return {"token_str": str, "score": float, "sequence": str, "masks": list[list[Candidate]]}

    def cells(self, answer: Iterator[Any]) -> dict[str, Any]:
        """The best candidate of a text with one mask is in columns of its own; `masks` has those of each mask."""
        found: list[Any] = [each if isinstance(each, dict) else list(each) for each in answer]
        masks = [found] if isinstance(found[0], dict) else found
        best: dict[str, Any] = masks[0][0] if len(masks) == 1 else {}
        return {**{name: best.get(name) for name in ("token_str", "score", "sequence")}, "masks": masks}

    def fill_text(self, masks: Masks, text: MaskedText, parts: Sequence[Floats], top_k: int) -> Iterator[Any]:
        """Return the candidates of a text's only mask, or those of each; `parts` are (masks, kept) numbers."""
        rows = (row for part in parts for row in part)
        filled = (self.fill(masks, mask, row, top_k) for mask, row in zip(text.masks, rows, strict=True))
        return next(filled) if len(text.masks) == 1 else filled

    def fill(self, masks: Masks, mask: Mask, kept: Floats, top_k: int) -> Iterator[Candidate]:
        """Rank the candidates of one mask by their share of the whole vocabulary's probability."""
        if masks.targets is None:
            half = len(kept) // 2
            tokens, scores = kept[:half].astype(np.int64), kept[half:]
        else:
            targets, columns = masks.of(mask)
            logits = kept[1:][columns]
            best = greatest(logits, top_k)
            tokens, scores = targets[best], np.exp(logits[best]) / kept[0]
        for token, score in zip(tokens.tolist(), scores.tolist(), strict=True):
            yield self.candidate(mask, token, score)

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
        (window, *_) = self.encode(FillMaskRequest(inputs=text, truncate=True)).windows
        return replace(window, ranking=None)


def mask_token_of(encoder: TextEncoder) -> tuple[str, int]:
    """Return the tokenizer's mask token and its id: `<mask>` for RoBERTa, `[MASK]` for BERT."""
    for token in ("<mask>", GENERIC_MASK):
        token_id = encoder.tokenizer.token_to_id(token)
        if token_id is not None:
            return token, token_id
    raise ValueError("the tokenizer has no mask token")
