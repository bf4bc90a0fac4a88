"""What a source says about one image, and what is left out of it."""

from dataclasses import dataclass, field
from typing import Literal

from pilot_proto.conversation import IMAGE

from pilot_data.boxes import Box
from pilot_data.records import Size

TaskKind = Literal["vqa", "caption", "grounding"]


@dataclass(frozen=True)
class Case:
    """One image with what is asked about it and what is right."""

    place: str
    """Where it stands in the source, as a record's id: `line-7`, `annotation-12`."""
    image: str
    """As the source writes it."""
    question: str = ""
    answers: tuple[str, ...] = ()
    box: Box | None = None
    """Corners (x1, y1, x2, y2), in the units of the source."""
    group: str | None = None
    """What must stay together, where the source says so."""
    declared_size: Size | None = None
    """Of the image, where the source says so."""


@dataclass(frozen=True)
class Dropped:
    """One case that is left out because something is wrong with it."""

    place: str
    reason: str
    """One of few, for counting."""
    detail: str = ""


@dataclass
class Cases:
    """What was read: cases, what is wrong, and how many were passed over by rule."""

    cases: list[Case] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    """Annotations that no rule of the task can use, such as crowds: no fault of the data."""

    def skip(self, reason: str) -> None:
        """Count one that is passed over."""
        self.skipped[reason] = self.skipped.get(reason, 0) + 1


class CaseFault(ValueError):
    """Why a case cannot be used."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason
        self.detail = detail


def clean_text(value: object, what: str) -> str:
    """Text without outer blanks and image marks, which the import places itself. Raises CaseFault."""
    if value is None:
        raise CaseFault(f"empty {what}")
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise CaseFault(f"{what} is not text", f"it is {type(value).__name__}")
    text = str(value).replace(IMAGE, " ").strip()
    if not text:
        raise CaseFault(f"empty {what}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise CaseFault(f"{what} is not text", "it holds half a character (a lone surrogate)") from None
    return text


def clean_answers(value: object, max_words: int) -> tuple[str, ...]:
    """One right answer, or a list of different ones. Raises CaseFault when there is none, or one is too long."""
    values = value if isinstance(value, list) else [value]
    if not values:
        raise CaseFault("empty answer")
    answers = (within(clean_text(each, "answer"), "answer", max_words) for each in values)
    return tuple(dict.fromkeys(answers))


def within(text: str, what: str, max_words: int) -> str:
    """The text, unless it has too many words. Raises CaseFault."""
    num_words = len(text.split())
    if num_words > max_words:
        raise CaseFault(f"{what} too long", f"{num_words} words, at most {max_words} may be: --max-answer-words")
    return text
