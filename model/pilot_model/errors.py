"""What is wrong with a model, its parts, or what it is asked to look at."""


class ModelError(Exception):
    """The base model is not what Pilot needs."""


class DoesNotFit(Exception):
    """Parts that do not belong together: another model, another LoRA setting, other tasks."""


class ImageError(Exception):
    """An image that cannot be decoded."""


class FolderError(Exception):
    """A folder that is no exported model, is one no longer, or must not be written over."""
