"""The personal model of a client: base, connector and text adapter in one place.

model, processor = pilot_model.load("vqa-1-model")
pilot_model.answer(model, processor, "how many digits are there ?", "scene.png")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pilot_model.answering import answer, embeddings
    from pilot_model.loading import load

__all__ = ["answer", "embeddings", "load"]

_HOMES = {"answer": "pilot_model.answering", "embeddings": "pilot_model.answering", "load": "pilot_model.loading"}


def __getattr__(name: str) -> Any:
    # Torch takes seconds; who only wants to look at a folder does without it.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
