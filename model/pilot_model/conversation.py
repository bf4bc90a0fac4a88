"""Conversations as token ids, by the model's own chat template; only answers carry labels.

The rendered text is cut where a prompt ends and its answer begins, and tokenised as a whole up to each cut, so that a
prompt has the same tokens in training and in generation. An answer ends with the tokenizer's end mark; a template that
does not write it (LLaVA-1.5's does not) gets it added, or the model would never learn to stop.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pilot_proto.conversation import IMAGE, Turn

from pilot_model.errors import ModelError

IGNORED = -100


@dataclass(frozen=True)
class Encoded:
    """Token ids and their labels (IGNORED outside answers), equally long; the image mark is expanded."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def num_answer_tokens(self) -> int:
        return sum(label != IGNORED for label in self.labels)


class Chat:
    """The chat format of one base model."""

    def __init__(self, processor: Any, image_token: int, num_image_tokens: int) -> None:
        """Raises ModelError when the model folder has no chat template or no end mark."""
        self._processor, self._tokenizer = processor, processor.tokenizer
        self._image_token, self._num_image_tokens = image_token, num_image_tokens
        if processor.chat_template is None and self._tokenizer.chat_template is None:
            raise ModelError("the model folder has no chat template: add chat_template.jinja")
        if self._tokenizer.eos_token is None:
            raise ModelError("the model's tokenizer has no eos_token, so answers could not end")

    def prompt(self, turns: Sequence[Turn], with_image: bool) -> list[int]:
        """Ids up to where the last turn's answer is to be generated; that answer is not looked at."""
        pieces = self._pieces(turns, with_image)
        return self._expanded(self._ids("".join(q + a for q, a in pieces[:-1]) + pieces[-1][0]))

    def encode(self, turns: Sequence[Turn], with_image: bool) -> Encoded:
        """Ids and labels of a whole conversation."""
        text, ids, labels = "", list[int](), list[int]()
        for question, answer in self._pieces(turns, with_image):
            before = self._ids(text + question)
            text += question + answer
            ids = self._ids(text)
            start = _common(before, ids)
            labels += [IGNORED] * (start - len(labels)) + ids[max(start, len(labels)) :]
        return self._aligned(ids, labels)

    def _aligned(self, ids: list[int], labels: list[int]) -> Encoded:
        out_ids, out_labels = [], []
        for token, label in zip(ids, labels, strict=True):
            times = self._num_image_tokens if token == self._image_token else 1
            out_ids += [token] * times
            out_labels += [label] * times
        return Encoded(tuple(out_ids), tuple(out_labels))

    def _expanded(self, ids: list[int]) -> list[int]:
        return list(self._aligned(ids, [IGNORED] * len(ids)).ids)

    def _ids(self, text: str) -> list[int]:
        bos = self._tokenizer.bos_token
        has_start = bos is not None and text.startswith(bos)
        return list(self._tokenizer(text, add_special_tokens=not has_start)["input_ids"])

    def _pieces(self, turns: Sequence[Turn], with_image: bool) -> list[Turn]:
        """Each turn's rendered prompt and answer; put together they are the whole text."""
        pieces, messages, before = [], list[dict[str, Any]](), ""
        for i, (question, answer) in enumerate(turns):
            messages.append(_message(self._processor, "user", question, with_image and i == 0))
            prompt = _render(self._processor, messages, prompting=True)
            messages.append(_message(self._processor, "assistant", answer, False))
            full = _render(self._processor, messages, prompting=False)
            if not (prompt.startswith(before) and full.startswith(prompt)):
                raise ModelError("the chat template rewrites earlier turns, so answers cannot be told apart")
            pieces.append((prompt[len(before) :], self._ended(full[len(prompt) :])))
            before = full
        return pieces

    def _ended(self, answer: str) -> str:
        eos = str(self._tokenizer.eos_token)
        return answer if eos in answer else answer.rstrip() + eos


def prompt_text(processor: Any, question: str, with_image: bool) -> str:
    """One question as the chat template writes it, up to where the answer begins; with one mark for the image."""
    return _render(processor, [_message(processor, "user", question, with_image)], prompting=True)


def truncated(encoded: Encoded, max_length: int) -> Encoded:
    """The first `max_length` tokens."""
    return Encoded(encoded.ids[:max_length], encoded.labels[:max_length])


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common prefix."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _message(processor: Any, role: str, text: str, with_image: bool) -> dict[str, Any]:
    if processor.chat_template is None:
        return {"role": role, "content": f"{IMAGE}\n{text}" if with_image else text}
    parts = [{"type": "image"}] if with_image else []
    return {"role": role, "content": [*parts, {"type": "text", "text": text}]}


def _render(processor: Any, messages: list[dict[str, Any]], prompting: bool) -> str:
    renderer = processor.tokenizer if processor.chat_template is None else processor
    return str(renderer.apply_chat_template(messages, add_generation_prompt=prompting, tokenize=False))
