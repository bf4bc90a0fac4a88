"""The base model: any LLaVA folder in the transformers layout, loaded frozen."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pilot_proto.llava import PROJECTOR, NotLlava, check_type
from pilot_proto.model_folder import folder_digest, read_config
from pilot_proto.training import Attention, Quantization
from torch import Tensor, nn
from transformers import AutoProcessor, LlavaForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils import logging as transformers_logging

from pilot_model.errors import ModelError
from pilot_model.platform import attention_options, quantization_options


@dataclass(frozen=True)
class Base:
    """A frozen base model. Its projector is replaced by our connectors; `psi_0` keeps the original values."""

    llava: Any
    processor: Any
    digest: str
    psi_0: Mapping[str, Tensor]
    act: nn.Module
    device: torch.device

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        return self.processor.tokenizer

    @property
    def image_token(self) -> int:
        """The id of the image mark."""
        return int(self.llava.config.image_token_id)

    @property
    def num_image_tokens(self) -> int:
        """N, the visual tokens of one image."""
        vision = self.llava.config.vision_config
        patches: int = (vision.image_size // vision.patch_size) ** 2
        return patches if self.llava.config.vision_feature_select_strategy == "default" else patches + 1

    @property
    def visual_width(self) -> int:
        """V, the width of one visual token."""
        return self.psi_0["linear_1.weight"].shape[1]

    @property
    def attention(self) -> str:
        """How attention is computed, as it was resolved."""
        return str(self.llava.model.language_model.config._attn_implementation)

    def use(self, connector: nn.Module) -> None:
        """Put a connector where the projector was."""
        self.llava.model.multi_modal_projector = connector.to(self.device)


def load_base(
    folder: Path,
    precision: str,
    device: torch.device,
    *,
    attention: Attention = "auto",
    quantization: Quantization = "none",
    digest: str | None = None,
    with_projector: bool = True,
) -> Base:
    """Load and freeze the model in `folder`; `precision` is `bf16` or `fp32`. Without its projector, one must follow.

    digest: of the folder, where it is known; else it is read whole.

    Raises ModelError when it is not a LLaVA model in the transformers layout, when weights are missing, or when this
    machine lacks what `attention` or `quantization` needs.
    """
    check_layout(folder)
    # Bars are for terminals; ours are log lines.
    transformers_logging.disable_progress_bar()
    llava, info = LlavaForConditionalGeneration.from_pretrained(
        folder,
        dtype=torch.bfloat16 if precision == "bf16" else torch.float32,
        output_loading_info=True,
        local_files_only=True,
        **attention_options(attention, precision, device),
        **quantization_options(quantization, device),
    )
    missing = sorted(name for name in info["missing_keys"] if with_projector or not name.startswith(PROJECTOR))
    if missing:
        # transformers would go on with random values.
        raise ModelError(f"{folder} lacks {len(missing)} weights of a LLaVA model, first {missing[0]}")
    llava.requires_grad_(False).eval()
    if quantization == "none":
        # Quantised weights are put on their device as they are loaded, and may not be moved.
        llava.to(device)
    processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    return frozen_base(llava, processor, digest or model_digest(folder), device)


def frozen_base(llava: Any, processor: Any, digest: str, device: torch.device) -> Base:
    """A base from a model that is in memory already."""
    projector = llava.model.multi_modal_projector
    psi_0 = {name: t.detach().float().cpu().clone() for name, t in sorted(projector.state_dict().items())}
    return Base(llava, processor, digest, psi_0, projector.act, device)


def check_layout(folder: Path) -> None:
    """Raise ModelError unless config.json describes a LLaVA model as transformers lays it out."""
    try:
        check_type(read_config(folder))
    except NotLlava as error:
        raise ModelError(f"{folder} cannot be used as a base model: {error}") from error


def model_digest(folder: Path) -> str:
    """The digest of the names and bytes of the files that make the model."""
    return folder_digest(folder)


def visual_features(llava: Any, pixels: Tensor) -> Tensor:
    """H, what the projector reads: the configured hidden layers, without CLS unless kept. (B, 3, h, w) -> (B, N, V)."""
    config = llava.config
    with torch.no_grad():
        hidden = llava.model.vision_tower(pixels, output_hidden_states=True).hidden_states
    layers = config.vision_feature_layer
    chosen = [hidden[i] for i in ([layers] if isinstance(layers, int) else layers)]
    first = 1 if config.vision_feature_select_strategy == "default" else 0
    return torch.cat([h[:, first:] for h in chosen], dim=-1)


def as_image_features(x_BNC: Tensor) -> BaseModelOutputWithPooling:
    """Connector output in the form in which LLaVA takes precomputed image features."""
    return BaseModelOutputWithPooling(pooler_output=list(x_BNC))


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """bf16 autocast, or nothing for fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()
