"""The processor of a personal model: what training did, behind transformers' interface."""

import json
import shutil

import pytest
import torch
from PIL import Image
from pilot_digits.models import DIGITS_TINY
from pilot_model.errors import ImageError
from pilot_model.processor import PersonalProcessor
from transformers import AutoProcessor


@pytest.fixture
def processor() -> PersonalProcessor:
    return PersonalProcessor.of_folder(DIGITS_TINY)


@pytest.fixture
def square() -> Image.Image:
    return Image.new("RGB", (32, 32), (200, 10, 10))


def test_square_images_and_plain_texts_are_what_the_bases_own_processor_makes(processor, square):
    theirs = AutoProcessor.from_pretrained(DIGITS_TINY, local_files_only=True)
    arguments = {"images": square, "text": "<image> how many digits are there ?", "return_tensors": "pt"}
    mine, other = processor(**arguments), theirs(**arguments)
    assert mine.keys() == other.keys()
    assert all(torch.equal(mine[key], other[key]) for key in mine)


def test_a_wide_image_keeps_its_sides(processor):
    wide = Image.new("RGB", (64, 16), (255, 255, 255))
    wide.paste((0, 0, 0), (0, 0, 8, 16))
    (pixels,) = processor(images=wide, return_tensors="pt")["pixel_values"]
    assert pixels[0, 16, 1] < -0.9
    assert pixels[0, 2].abs().max() < 0.01


def test_texts_of_a_batch_are_padded_on_the_left(processor):
    made = processor(text=["how many digits are there ?", "list the digits ."], return_tensors="pt")
    assert made["attention_mask"][:, -1].tolist() == [1, 1]
    assert made["attention_mask"][1, 0] == 0


def test_a_text_that_begins_with_the_start_mark_gets_no_second_one(processor):
    once = processor(text="how many digits are there ?", return_tensors="pt")["input_ids"]
    again = processor(text="<bos> how many digits are there ?", return_tensors="pt")["input_ids"]
    assert torch.equal(once, again)


def test_files_and_nested_lists_are_images_too(processor, square, tmp_path):
    square.save(tmp_path / "a.png")
    flat = processor(images=[square, square], text=["<image> x", "<image> x"], return_tensors="pt")
    for given in ([[square], [str(tmp_path / "a.png")]], [tmp_path / "a.png", square]):
        nested = processor(images=given, text=["<image> x", "<image> x"], return_tensors="pt")
        assert torch.equal(nested["pixel_values"], flat["pixel_values"])


def test_what_is_no_image_is_named(processor, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ImageError, match=r"text\.png cannot be decoded"):
        processor(images=tmp_path / "text.png", text="<image> x")
    with pytest.raises(ImageError, match="is a dict; give a PIL image"):
        processor(images={"a": 1}, text="<image> x")


def test_images_and_marks_must_agree_in_number(processor, square):
    with pytest.raises(ValueError, match="should be the same as the number of images"):
        processor(images=[square, square], text="<image> x")


def test_a_tokenizer_without_padding_uses_its_end_mark(tmp_path):
    folder = shutil.copytree(DIGITS_TINY, tmp_path / "model")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    del config["pad_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    assert PersonalProcessor.of_folder(folder).tokenizer.pad_token == "<eos>"
