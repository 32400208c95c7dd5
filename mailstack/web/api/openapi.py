"""The OpenAPI document, made from the endpoints themselves (OpenAPI 3.1)."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from mailstack import __version__
from mailstack.web.api.endpoint import Endpoint, Parameter
from mailstack.web.api.shapes import Problem

BASE = "/api/v1"
ABOUT = (
    "Sending mail, and for admins what the commands do. A token is made by `mailstack api-token add`; it is sent as "
    "`Authorization: Bearer ...`, over TLS, or from the server's own machine."
)


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    every = list(endpoints)
    shapes = [shape for one in every for shape in (one.takes, one.gives) if shape is not None]
    schemas, components = msgspec.json.schema_components([*shapes, Problem], ref_template="#/components/schemas/{name}")
    by_shape = {id(shape): schema for shape, schema in zip([*shapes, Problem], schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for one in every:
        paths.setdefault(BASE + one.path, {})[one.method.lower()] = _operation(one, by_shape)
    return {
        "openapi": "3.1.0",
        "info": {"title": "mailstack", "version": __version__, "description": ABOUT},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}],
    }


def _operation(one: Endpoint, by_shape: dict[int, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done"}
    if one.gives is not None:
        good["content"] = {"application/json": {"schema": by_shape[id(one.gives)]}}
    problem = {"description": "Not done", "content": {"application/json": {"schema": by_shape[id(Problem)]}}}
    found: dict[str, Any] = {
        "summary": one.summary,
        "operationId": f"{one.method.lower()}{re.sub(r'[^a-z]+', '_', one.path)}".rstrip("_"),
        "description": "For an admin's token." if one.admin else "For an account's token, and an admin's.",
        "responses": {str(one.status): good, "default": problem},
    }
    names = re.findall(r"{(\w+)", one.path)
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    parameters += [_parameter(each) for each in one.parameters]
    if parameters:
        found["parameters"] = parameters
    if one.takes is not None:
        content = {"application/json": {"schema": by_shape[id(one.takes)]}}
        content |= {one.also_takes: {"schema": {"type": "string"}}} if one.also_takes else {}
        found["requestBody"] = {"required": True, "content": content}
    return found


def _parameter(one: Parameter) -> dict[str, Any]:
    text = {"type": "string"}
    schema = {"type": "array", "items": text} if one.many else text
    return {"name": one.name, "in": one.place, "description": one.text, "schema": schema}
