"""The 99 words that the digit world is made of: 5 marks, 10 digits, 33 coordinates, 51 others.

A text is its words joined by single spaces; a word is a token. Anything else is read as `<unk>`.
"""

from pilot_digits.scenes import CANVAS

PAD, BOS, EOS, IMAGE, UNKNOWN = MARKS = ("<pad>", "<bos>", "<eos>", "<image>", "<unk>")

DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# A pixel edge as a fraction of the canvas, with two decimals: 0 -> "0.00", 8 -> "0.25", 32 -> "1.00".
COORDINATE_WORDS = tuple(f"{edge / CANVAS:.2f}" for edge in range(CANVAS + 1))

_OTHER_WORDS = (
    "how many digits are there ? which digit is in the top left bottom right a yes no leftmost rightmost topmost "
    "bottommost to of above : and this image shows , ; [ ] describe . write caption for what does show where find "
    "give box list read from at nothing"
)

VOCABULARY = tuple(dict.fromkeys((*MARKS, *DIGIT_WORDS, *COORDINATE_WORDS, *_OTHER_WORDS.split())))
TOKEN_IDS = {word: index for index, word in enumerate(VOCABULARY)}


def coordinate(edge: int) -> str:
    """The word for a pixel edge in 0..32."""
    return COORDINATE_WORDS[edge]


def unknown_words(text: str) -> list[str]:
    """Words of `text` that the vocabulary lacks."""
    return [word for word in text.split() if word not in TOKEN_IDS]
