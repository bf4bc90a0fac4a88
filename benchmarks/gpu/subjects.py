"""What is measured: LLaVA of a shape with random weights made on the device, and samples of random words."""

from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from pilot_model.connector import Tensors
from pilot_model.conversation import IGNORED, Encoded
from pilot_model.encoder import Features
from pilot_model.lora import TextAdapter
from pilot_model.model import Base, frozen_base, visual_features
from pilot_model.parts import Sources
from pilot_proto.llava import Llava
from pilot_proto.training import Program, Training
from pilot_trainer.batches import Example
from pilot_trainer.initial import start_of_training
from pilot_trainer.student import Student
from pilot_trainer.train import Learner
from torch import Tensor
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

TASKS = ("caption", "grounding", "vqa")
IMAGE_TOKEN = 3


def config_of(shape: str) -> LlavaConfig:
    """`7b`: LLaVA-1.5-7B. `tiny`: a model of the demo's size."""
    if shape == "7b":
        vision = CLIPVisionConfig(
            hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, image_size=336,
            patch_size=14,
        )  # fmt: skip
        text = LlamaConfig(vocab_size=32064)
        return LlavaConfig(vision_config=vision, text_config=text, image_token_id=IMAGE_TOKEN)
    vision = CLIPVisionConfig(
        hidden_size=96, intermediate_size=384, num_hidden_layers=3, num_attention_heads=4, image_size=32, patch_size=8
    )
    text = LlamaConfig(hidden_size=96, intermediate_size=240, num_hidden_layers=3, num_attention_heads=4, vocab_size=99)
    return LlavaConfig(vision_config=vision, text_config=text, image_token_id=IMAGE_TOKEN)


def random_base(config: LlavaConfig, precision: str, device: torch.device) -> Base:
    """A model that was never trained, in the device's memory only."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    with torch.device("meta"):
        llava = LlavaForConditionalGeneration(config).to(dtype)
    llava.to_empty(device=device)
    generator = torch.Generator(device).manual_seed(0)
    with torch.no_grad():
        for name, tensor in llava.named_parameters():
            torch.nn.init.normal_(tensor, std=0.02, generator=generator)
            if "norm" in name and name.endswith("weight"):
                tensor.fill_(1.0)
    # Positions and rotary frequencies are buffers, which are computed and not stored.
    _fill_buffers(llava, config, device)
    return frozen_base(llava.requires_grad_(False).eval(), None, "random", device)


def _fill_buffers(llava: torch.nn.Module, config: LlavaConfig, device: torch.device) -> None:
    less = {"num_hidden_layers": 1, "intermediate_size": 8}
    small = LlavaConfig(
        vision_config=CLIPVisionConfig(**{**config.vision_config.to_dict(), **less}),
        text_config=LlamaConfig(**{**config.text_config.to_dict(), **less, "vocab_size": 8}),
    )
    computed = dict(LlavaForConditionalGeneration(small).named_buffers())
    for name, buffer in llava.named_buffers():
        buffer.copy_(computed[name].to(device))


class RandomFeatures:
    """Features kept on the host, as the cache keeps them; or computed by the tower for every batch."""

    def __init__(self, base: Base, images: int, encoding: bool) -> None:
        self._base, self._encoding = base, encoding
        vision, generator = base.llava.config.vision_config, torch.Generator().manual_seed(1)
        dtype = next(base.llava.model.vision_tower.parameters()).dtype
        side = vision.image_size
        shape = (3, side, side) if encoding else (base.num_image_tokens, base.visual_width)
        self._kept = [torch.randn(shape, generator=generator).to(dtype) for _ in range(images)]

    def __call__(self, images: Sequence[Path]) -> Tensor:
        batch = torch.stack([self._kept[int(image.stem)] for image in images]).to(self._base.device)
        return visual_features(self._base.llava, batch) if self._encoding else batch


def examples(llava: Llava, count: int, text_tokens: int, answer_tokens: int) -> list[Example]:
    """Samples alike in length: an image, then random words, the last of which are the answer."""
    generator = torch.Generator().manual_seed(2)
    found = []
    for i in range(count):
        words = torch.randint(5, llava.text_config.vocab_size, (text_tokens,), generator=generator).tolist()
        ids = [IMAGE_TOKEN] * llava.num_image_tokens + words
        labels = [IGNORED] * (len(ids) - answer_tokens) + words[-answer_tokens:]
        found.append(Example(Encoded(tuple(ids), tuple(labels)), Path(f"{i}.png")))
    return found


def learner(base: Base, program: Program, training: Training, samples: list[Example], features: Features) -> Learner:
    """A learner as the trainer makes one, on the base's device."""
    adapter = TextAdapter(base.llava, training.lora)
    adapter.load(adapter.start(0))
    private: Tensors = {f"{branch}.{name}": t for branch in ("task", "client") for name, t in base.psi_0.items()}
    sources = Sources(base.psi_0, base.psi_0, dict.fromkeys(TASKS, base.psi_0), private if program == "stage-2" else {})
    base.use(start_of_training(program, "vqa", sources, training.connector, base.act, 0))
    if training.gradient_checkpointing:
        base.llava.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    student = Student(base.llava, training.losses).train()
    base.llava.model.vision_tower.eval()
    return Learner(Accelerator(), student, program, training, samples, features, 0, 0)
