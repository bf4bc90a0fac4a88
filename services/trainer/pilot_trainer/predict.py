"""One answer of a client's own model, as its last update left it."""

from pathlib import Path

import torch
from pilot_model.assembly import as_saved
from pilot_model.conversation import Chat
from pilot_model.encoder import Encoder
from pilot_model.generate import answers
from pilot_model.lora import TextAdapter
from pilot_model.model import load_base
from pilot_model.parts import under
from pilot_proto.update import UPDATE_FILE, Update

from pilot_trainer.materials import CONNECTOR, TEXT
from pilot_trainer.results import Result

MAX_NEW_TOKENS = 64


def predict(
    model_dir: Path, result_dir: Path, image: Path | None, prompt: str, max_new_tokens: int = MAX_NEW_TOKENS
) -> str:
    """The answer to `prompt` about `image`, by the base model in `model_dir` with the private state in `result_dir`.

    Raises TrainerError when the model or the state cannot be used, and BadData for an unreadable image.
    """
    result = Result(result_dir, Update.model_validate_json((result_dir / UPDATE_FILE).read_bytes()))
    assignment, private = result.assignment(), result.private()
    training = assignment.training
    base = load_base(model_dir, training.precision, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    TextAdapter(base.llava, training.lora).load(under(TEXT, private))
    tensors = under(CONNECTOR, private)
    base.use(as_saved(assignment.program, assignment.task, tensors, training.connector, base.act).eval())
    ids = Chat(base.processor, base.image_token, base.num_image_tokens).prompt([(prompt, "")], image is not None)
    (answer,) = answers(base, Encoder(base), [ids], [image], max_new_tokens, training.precision)
    return answer
