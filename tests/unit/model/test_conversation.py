"""Prompts and answers as token ids: what carries loss, where images stand, how answers end."""

import pytest
from pilot_model.conversation import IGNORED, Chat, Encoded, truncated
from pilot_model.errors import ModelError
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

# As in llava-hf/llava-1.5-7b-hf: role words, a blank after an answer, no end mark.
LLAVA_1_5 = (
    "{% for m in messages %}{{ m['role'].upper() + ': ' }}"
    "{% for c in m['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for c in m['content'] | selectattr('type', 'equalto', 'text') %}{{ c['text'] + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
WORDS = ["<pad>", "<s>", "</s>", "<image>", "USER:", "ASSISTANT:", "what", "?", "a", "cat", "dog", "and"]


class Processor:
    """The part of a LLaVA processor that a chat needs, around a tokenizer of twelve words."""

    def __init__(self, template: str | None, eos: str | None = "</s>") -> None:
        words = Tokenizer(WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<pad>"))
        words.pre_tokenizer = WhitespaceSplit()
        words.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
        self.chat_template = template
        self.tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token=eos, unk_token="<pad>"
        )

    def apply_chat_template(self, messages, add_generation_prompt, tokenize):
        return self.tokenizer.apply_chat_template(
            messages, chat_template=self.chat_template, add_generation_prompt=add_generation_prompt, tokenize=tokenize
        )


def words(ids) -> str:
    return " ".join(WORDS[i] for i in ids)


def labels(encoded: Encoded) -> str:
    return " ".join("." if i == IGNORED else WORDS[i] for i in encoded.labels)


def test_only_the_answer_and_its_end_mark_carry_loss(chat, base):
    encoded = chat.encode([("which digit is the leftmost ?", "three")], with_image=True)
    carried = [i for i in encoded.labels if i != IGNORED]
    assert base.tokenizer.decode(carried).split() == ["three", "<eos>"]
    assert encoded.ids[-2:] == tuple(carried)
    assert encoded.num_answer_tokens == 2


def test_the_image_mark_stands_once_for_each_visual_token(chat, base):
    encoded = chat.encode([("what ?", "three")], with_image=True)
    assert encoded.ids.count(base.image_token) == base.num_image_tokens == 16
    assert chat.encode([("what ?", "three")], with_image=False).ids.count(base.image_token) == 0


def test_a_prompt_is_what_stands_before_the_answer_in_training(chat):
    turns = [("which digit is the leftmost ?", "three")]
    prompt, encoded = chat.prompt(turns, True), chat.encode(turns, True)
    assert tuple(prompt) == encoded.ids[: len(prompt)]
    assert encoded.labels[len(prompt)] != IGNORED
    assert encoded.labels[len(prompt) - 1] == IGNORED


def test_every_answer_of_a_longer_conversation_carries_loss_and_ends():
    chat = Chat(Processor(LLAVA_1_5), image_token=3, num_image_tokens=2)
    encoded = chat.encode([("what ?", "a cat"), ("and ?", "a dog")], with_image=True)
    text = "<s> USER: <image> <image> what ? ASSISTANT: a cat </s> USER: and ? ASSISTANT: a dog </s>"
    mask = ". . . . . . . a cat </s> . . . . a dog </s>"
    assert words(encoded.ids) == text
    assert labels(encoded) == mask


def test_a_later_prompt_holds_the_earlier_answers():
    chat = Chat(Processor(LLAVA_1_5), image_token=3, num_image_tokens=1)
    prompt = chat.prompt([("what ?", "a cat"), ("and ?", "never seen")], with_image=False)
    assert words(prompt) == "<s> USER: what ? ASSISTANT: a cat </s> USER: and ? ASSISTANT:"


def test_a_template_that_writes_the_start_mark_does_not_get_a_second_one():
    chat = Chat(Processor("{{ '<s> ' }}" + LLAVA_1_5), image_token=3, num_image_tokens=1)
    assert words(chat.encode([("what ?", "cat")], False).ids).count("<s>") == 1


def test_a_tokenizer_may_hold_the_template_instead_of_the_processor():
    processor = Processor(None)
    processor.tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'].upper() + ': ' + m['content'] + ' ' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
    )
    encoded = Chat(processor, image_token=3, num_image_tokens=1).encode([("what ?", "cat")], True)
    assert words(encoded.ids) == "<s> USER: <image> what ? ASSISTANT: cat </s>"


def test_a_model_without_a_chat_template_or_an_end_mark_is_refused():
    with pytest.raises(ModelError, match="chat template"):
        Chat(Processor(None), 3, 1)
    with pytest.raises(ModelError, match="eos_token"):
        Chat(Processor(LLAVA_1_5, eos=None), 3, 1)


def test_a_template_that_rewrites_earlier_turns_is_refused():
    chat = Chat(Processor("{{ messages | length }}{{ messages[-1]['role'] }}"), 3, 1)
    with pytest.raises(ModelError, match="rewrites earlier turns"):
        chat.encode([("what ?", "a"), ("and ?", "b")], False)


def test_truncation_keeps_the_beginning():
    encoded = Encoded((1, 2, 3, 4), (IGNORED, IGNORED, 3, 4))
    assert truncated(encoded, 3) == Encoded((1, 2, 3), (IGNORED, IGNORED, 3))
    assert truncated(encoded, 9) == encoded
    assert truncated(encoded, 2).num_answer_tokens == 0
