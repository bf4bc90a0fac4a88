"""The OpenAPI document of a service: what FastAPI finds in the routes, made true.

FastAPI promises its own body for a 422 and knows nothing of our errors, keys and roles; here every operation says
that an error is a problem (RFC 9457), and who may call it.
"""

import json
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pilot_proto.problem import Problem

from pilot_http.auth import PolicyTable

REF = "#/components/schemas/{model}"
METHODS = frozenset({"get", "head", "put", "post", "patch", "delete"})
PROBLEM = {"$ref": "#/components/responses/Problem"}


def operation_id(route: APIRoute) -> str:
    """The name of the route's function: stable, and what a generated client's method is called."""
    return route.name


class Application(FastAPI):
    """An application whose OpenAPI document tells the truth about errors and roles."""

    def openapi(self) -> dict[str, Any]:
        """The document; made once, as FastAPI does."""
        if self.openapi_schema is None:
            self.openapi_schema = described(super().openapi(), self.state.policy)
        return self.openapi_schema


def described(document: dict[str, Any], policy: PolicyTable) -> dict[str, Any]:
    """FastAPI's document with our error responses, and the roles of `policy` at each operation."""
    # A parameter that takes slashes is `{path:path}` in a route and `{path}` in OpenAPI.
    roles_of = {(method.lower(), path.replace(":path}", "}")): sorted(who) for (method, path), who in policy.items()}
    for path, item in document["paths"].items():
        for method in METHODS & set(item):
            operation = item[method]
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = PROBLEM
            roles = roles_of[method, path]
            operation["x-roles"] = roles
            operation["security"] = [] if "public" in roles else [{"key": []}]
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for replaced in ("HTTPValidationError", "ValidationError"):
        schemas.pop(replaced, None)
    problem = Problem.model_json_schema(ref_template=REF)
    schemas.update(problem.pop("$defs"), Problem=problem)
    media_type = {"application/problem+json": {"schema": {"$ref": REF.format(model="Problem")}}}
    components["responses"] = {"Problem": {"description": "What was wrong, and what to do next", "content": media_type}}
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return document


def text(app: FastAPI) -> str:
    """The document as it is committed: sorted keys, two spaces, a newline at the end."""
    return json.dumps(app.openapi(), indent=2, sort_keys=True) + "\n"
