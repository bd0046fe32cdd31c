"""The question-answering pipeline as transformers had it until version 5: what it answers, of one checkpoint.

Source: transformers 4.57.1, src/transformers/pipelines/question_answering.py (Apache-2.0). Equal texts at several
places are not added up here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer


class ReaderPipeline:
    """Answers by PyTorch, every span of a window being a candidate."""

    def __init__(self, folder: Path) -> None:
        self.model = AutoModelForQuestionAnswering.from_pretrained(folder).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    def __call__(
        self,
        question: str,
        context: str,
        *,
        max_seq_len: int,
        doc_stride: int,
        max_answer_len: int = 15,
        handle_impossible_answer: bool = False,
        align_to_words: bool = True,
    ) -> dict[str, Any]:
        """Return the best answer: score, answer, start, end."""
        encoded = self.tokenizer(
            question,
            context,
            truncation="only_second",
            max_length=max_seq_len,
            stride=doc_stride,
            return_overflowing_tokens=True,
            return_token_type_ids=True,
        )
        best: dict[tuple[int, int], float] = {}
        none = 1.0
        for number, ids in enumerate(encoded["input_ids"]):
            encoding = encoded.encodings[number]
            inputs = {name: torch.tensor([encoded[name][number]]) for name in self.tokenizer.model_input_names}
            with torch.inference_mode():
                output = self.model(**inputs)
            desired = np.array([sequence == 1 for sequence in encoded.sequence_ids(number)])
            desired |= np.array(ids) == self.tokenizer.cls_token_id
            start, end = (
                softmax(np.where(desired, logits[0].float().numpy(), -10000.0))
                for logits in (output.start_logits, output.end_logits)
            )
            none = min(none, float(start[0] * end[0]))
            start[0] = end[0] = 0.0
            spans = np.tril(np.triu(np.outer(start, end)), max_answer_len - 1)
            found: dict[tuple[int, int], float] = {}
            for first, last in zip(*spans.nonzero(), strict=True):
                place = place_of(encoding, int(first), int(last), align_to_words)
                found[place] = found.get(place, 0.0) + float(spans[first, last])
            for place, score in found.items():
                best[place] = max(score, best.get(place, 0.0))
        answers = [{"score": score, "answer": context[a:b], "start": a, "end": b} for (a, b), score in best.items()]
        if handle_impossible_answer:
            answers.append({"score": none, "answer": "", "start": 0, "end": 0})
        return max(answers, key=lambda answer: answer["score"])


def softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max())
    return exponents / exponents.sum()


def place_of(encoding: Any, first: int, last: int, align_to_words: bool) -> tuple[int, int]:
    words = encoding.token_to_word(first), encoding.token_to_word(last)
    if align_to_words and None not in words:
        begin, end = (encoding.word_to_chars(word, sequence_index=1) for word in words)
        return begin[0], end[1]
    return encoding.offsets[first][0], encoding.offsets[last][1]
