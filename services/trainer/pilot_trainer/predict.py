"""One answer of a client's own model, as its last update left it."""

from pathlib import Path

import torch
from pilot_model.answering import MAX_NEW_TOKENS, answer
from pilot_model.loading import answer_greedily
from pilot_model.model import load_base
from pilot_model.personal import personalised
from pilot_model.processor import PersonalProcessor
from pilot_proto.update import UPDATE_FILE, Update

from pilot_trainer.points import local_parts
from pilot_trainer.results import Result


def predict(
    model_dir: Path, result_dir: Path, image: Path | None, prompt: str, max_new_tokens: int = MAX_NEW_TOKENS
) -> str:
    """The answer to `prompt` about `image`, by the base model in `model_dir` with the private state in `result_dir`.

    Raises TrainerError or an error of pilot_model when the model, the state or the image cannot be used.
    """
    result = Result(result_dir, Update.model_validate_json((result_dir / UPDATE_FILE).read_bytes()))
    training = result.assignment().training
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    base = load_base(
        model_dir,
        training.precision,
        device,
        attention=training.attn_implementation,
        quantization=training.base_quantization,
        digest=result.update.model.digest,
    )
    model, processor = personalised(base, local_parts(result)), PersonalProcessor.of_folder(model_dir)
    answer_greedily(model, processor, max_new_tokens)
    return answer(model, processor, prompt, image)
