"""The base model as it is shipped: files, processor, weights."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from pilot_digits.base.answering import BaseModel, generic_shares, held_out_queries
from pilot_digits.base.architecture import config
from pilot_digits.base.processor import build_processor
from pilot_digits.models import DIGITS_TINY
from pilot_digits.vocabulary import TOKEN_IDS, VOCABULARY
from transformers import AutoConfig, LlavaForConditionalGeneration

FILES = {
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
}


@pytest.fixture(scope="module")
def shipped():
    return BaseModel(DIGITS_TINY)


def test_the_folder_is_a_complete_llava_layout_below_3_mb():
    assert {path.name for path in DIGITS_TINY.iterdir()} == FILES
    assert sum(path.stat().st_size for path in DIGITS_TINY.iterdir()) < 3_000_000


def test_stock_classes_load_every_tensor_offline_and_leave_none_out():
    _, info = LlavaForConditionalGeneration.from_pretrained(
        DIGITS_TINY, local_files_only=True, output_loading_info=True
    )

    assert {key: list(found) for key, found in info.items() if found} == {}


def test_the_shipped_files_are_those_that_the_script_writes(tmp_path):
    build_processor().save_pretrained(tmp_path)
    config(num_channels=3).save_pretrained(tmp_path)
    for path in tmp_path.iterdir():
        if path.name == "config.json":
            ours, theirs = (AutoConfig.from_pretrained(folder).to_diff_dict() for folder in (tmp_path, DIGITS_TINY))
            made_on_saving = {"architectures", "dtype", "transformers_version"}
            assert {k: v for k, v in ours.items() if k not in made_on_saving} == {
                k: v for k, v in theirs.items() if k not in made_on_saving
            }
        else:
            assert path.read_bytes() == (DIGITS_TINY / path.name).read_bytes(), path.name


def test_each_word_is_one_token_and_reads_back(shipped):
    tokenizer = shipped.processor.tokenizer
    words = VOCABULARY[5:]
    ids = tokenizer(" ".join(words))["input_ids"]

    assert ids == [TOKEN_IDS["<bos>"], *(TOKEN_IDS[word] for word in words)]
    assert tokenizer.decode(ids, skip_special_tokens=True) == " ".join(words)
    assert tokenizer("a giraffe")["input_ids"][-1] == TOKEN_IDS["<unk>"]


def test_a_llava_record_becomes_bos_image_question_and_answer_eos(shipped):
    image = Image.fromarray(np.arange(1024, dtype=np.uint8).reshape(32, 32))
    user = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "list the digits ."}]}
    answer = {"role": "assistant", "content": [{"type": "text", "text": "four two"}]}
    text = shipped.processor.apply_chat_template([user, answer])
    inputs = shipped.processor(text=text, images=image, return_tensors="pt")

    tokens = [VOCABULARY[token] for token in inputs["input_ids"][0].tolist()]
    assert tokens == ["<bos>", *["<image>"] * 16, "list", "the", "digits", ".", "four", "two", "<eos>"]
    grey = torch.from_numpy(np.array(image)).float() / 127.5 - 1
    torch.testing.assert_close(inputs["pixel_values"], grey.expand(1, 3, 32, 32))


def test_the_template_marks_the_answer_as_what_the_assistant_said(shipped):
    user = {"role": "user", "content": [{"type": "text", "text": "list the digits ."}]}
    answer = {"role": "assistant", "content": [{"type": "text", "text": "four two"}]}
    made = shipped.processor.tokenizer.apply_chat_template(
        [user, answer], return_dict=True, return_assistant_tokens_mask=True
    )

    marked = [VOCABULARY[i] for i, m in zip(made["input_ids"], made["assistant_masks"], strict=True) if m]
    assert marked == ["four", "two", "<eos>"]


def test_embeddings_are_tied_and_stored_once(shipped):
    head = json.loads((DIGITS_TINY / "model.safetensors").read_bytes()[8:].split(b"}}")[0] + b"}}")

    assert shipped.model.lm_head.weight is shipped.model.model.language_model.embed_tokens.weight
    assert not any("lm_head" in name for name in head)
    assert {tensor["dtype"] for name, tensor in head.items() if name != "__metadata__"} == {"F32"}


def test_it_sees_it_answers_generic_queries_about_handwriting_it_never_saw(shipped):
    shares = generic_shares(shipped, held_out_queries(1200, seed=1))

    assert shares["list"] >= 0.7, shares
    assert shares["read"] >= 0.75, shares
    assert shares["what"] >= 0.85, shares
    assert shares["give"] >= 0.55, shares
