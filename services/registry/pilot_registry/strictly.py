"""Stored documents on their way in: FastAPI parses bodies leniently, these are read strictly."""

import json
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pilot_http.problems import Invalid
from pilot_proto.base import Stored
from pilot_proto.grant import Grant, Handed, PublishRequest, RoundGrants
from pilot_proto.manifest import Manifest
from pilot_proto.problem import FieldError
from pydantic import BeforeValidator, ValidationError

S = TypeVar("S", bound=Stored)

MAX_BODY_BYTES = 32 << 20
"""The largest JSON body; a publication of hundreds of outputs is far below."""


def _reader(model: type[S]) -> Callable[[Any], S]:
    def read(value: Any) -> S:
        try:
            # Without a content type of JSON, FastAPI hands on the bytes as they came.
            plain = json.loads(value) if isinstance(value, bytes) else value
            # Written again, because that refuses NaN and numbers that are too large for a float.
            return model.read_strictly(json.dumps(plain, allow_nan=False))
        except ValidationError as error:
            faults = [
                FieldError(pointer="".join(f"/{part}" for part in fault["loc"]), message=str(fault["msg"]))
                for fault in error.errors()
            ]
            first = f"{faults[0].pointer or '/'}: {faults[0].message}"
            raise Invalid(f"the {model.__name__} is not valid: {first}", errors=faults) from error
        except ValueError as error:
            raise Invalid(f"the {model.__name__} is not valid: {error}") from error

    return read


GrantBody = Annotated[Grant, BeforeValidator(_reader(Grant))]
RoundGrantsBody = Annotated[RoundGrants, BeforeValidator(_reader(RoundGrants))]
HandedBody = Annotated[Handed, BeforeValidator(_reader(Handed))]
ManifestBody = Annotated[Manifest, BeforeValidator(_reader(Manifest))]
PublishBody = Annotated[PublishRequest, BeforeValidator(_reader(PublishRequest))]
