"""A base model small enough to load for every test that changes it."""

import pytest
import torch
from pilot_digits.models import DIGITS_TINY
from pilot_model.conversation import Chat
from pilot_model.model import Base, load_base

# Two threads at once on two busy cores are ten times slower.
torch.set_num_threads(1)


@pytest.fixture
def base() -> Base:
    return load_base(DIGITS_TINY, "fp32", torch.device("cpu"))


@pytest.fixture
def chat(base: Base) -> Chat:
    return Chat(base.processor, base.image_token, base.num_image_tokens)
