"""The base models that travel in this package, as Hugging Face LLaVA folders."""

from pathlib import Path

DIGITS_TINY = Path(__file__).parent / "digits-tiny"
