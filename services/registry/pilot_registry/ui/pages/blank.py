"""Query parameters of forms: a field that was left empty was not given."""

from pydantic import BeforeValidator

Blank = BeforeValidator(lambda value: value or None)
