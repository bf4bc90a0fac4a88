"""Greedy answers: batches change nothing, text-only prompts may stand among others."""

import pytest
import torch
from pilot_model.generate import BATCH_TOKENS, answers, batches, pad_token
from pilot_trainer.errors import Temporary

QUESTIONS = ["which digit is the leftmost ?", "how many digits are there ?", "list the digits .", "is there a three ?"]


def features(images):
    seeds = [torch.Generator().manual_seed(int(image.stem)) for image in images]
    return torch.stack([torch.randn(16, 96, generator=g) for g in seeds])


@pytest.fixture
def asked(chat, tmp_path):
    images = [tmp_path / f"{i}.png" for i in range(3)] + [None]
    prompts = [
        chat.prompt([(question, "")], image is not None) for question, image in zip(QUESTIONS, images, strict=True)
    ]
    return prompts, images


def test_a_batch_gives_what_each_prompt_gives_alone(base, asked):
    prompts, images = asked
    together = answers(base, features, prompts, images, 6, "fp32")
    alone = [answers(base, features, [p], [i], 6, "fp32")[0] for p, i in zip(prompts, images, strict=True)]
    assert together == alone
    assert all(together)
    assert not any("<" in answer for answer in together)


def test_answers_end_at_the_limit(base, asked):
    assert max(len(a.split()) for a in answers(base, features, *asked, 2, "fp32")) <= 2


def test_text_only_prompts_need_no_features(base, chat):
    prompt = chat.prompt([("how many digits are there ?", "")], False)
    assert answers(base, features, [prompt, prompt], [None, None], 4, "fp32")[0]


def test_a_request_to_stop_is_heard_between_batches(base, asked):
    def stop():
        raise Temporary("stop")

    with pytest.raises(Temporary):
        answers(base, features, *asked, 4, "fp32", stop)


def test_batches_hold_every_row_once_and_never_too_many_tokens():
    lengths = [10, 7_000, 500, 7_500, 20, 30_000]
    groups = batches(lengths, 64)
    assert sorted(i for group in groups for i in group) == list(range(6))
    for group in groups:
        longest = max(lengths[i] for i in group) + 64
        assert len(group) == 1 or len(group) * longest <= BATCH_TOKENS
    assert groups[0] == [0, 4, 2]


def test_a_tokenizer_without_padding_uses_its_end_mark(base):
    assert base.tokenizer.decode([pad_token(base)]) == "<pad>"
    base.tokenizer.pad_token = None
    assert base.tokenizer.decode([pad_token(base)]) == "<eos>"
