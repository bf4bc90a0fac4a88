"""The processor of `digits-tiny`: a tokenizer of 99 words and CLIP's image steps, as LLaVA-1.5 uses them.

As with LLaVA-1.5, the tokenizer puts `<bos>` in front and the chat template does not; there are no role words, so a
prompt is `<bos> <image> which digit is the leftmost ?`. The template closes an answer with `<eos>`.
"""

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import LlavaProcessor, PreTrainedTokenizerFast

# The class that needs no torchvision; AutoProcessor finds it again under the name in the saved files.
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from pilot_digits.base.architecture import PATCH
from pilot_digits.scenes import CANVAS
from pilot_digits.vocabulary import BOS, EOS, IMAGE, PAD, TOKEN_IDS, UNKNOWN

_MAX_LENGTH = 128

CHAT_TEMPLATE = """\
{%- for message in messages -%}
  {%- for part in message['content'] if part['type'] == 'image' %}{{ '<image> ' }}{% endfor -%}
  {%- for part in message['content'] if part['type'] == 'text' -%}
    {%- if message['role'] == 'assistant' -%}
      {%- generation %}{{ part['text'] + ' <eos>' }}{% endgeneration -%}
    {%- else -%}
      {{ part['text'] + ' ' }}
    {%- endif -%}
  {%- endfor -%}
{%- endfor -%}
"""


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A token per word; unknown words become `<unk>`."""
    words = Tokenizer(WordLevel(dict(TOKEN_IDS), unk_token=UNKNOWN))
    words.pre_tokenizer = WhitespaceSplit()
    words.post_processor = TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, TOKEN_IDS[BOS])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNKNOWN,
        extra_special_tokens={"image_token": IMAGE},
        model_max_length=_MAX_LENGTH,
        padding_side="right",
    )


def build_processor() -> LlavaProcessor:
    """Tokenizer and image steps together; pixels end in -1..1."""
    images = CLIPImageProcessorPil(
        size={"shortest_edge": CANVAS},
        crop_size={"height": CANVAS, "width": CANVAS},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
        do_convert_rgb=True,
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=build_tokenizer(),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )
