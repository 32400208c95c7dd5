"""An endpoint of the API: what it takes, who may ask, and what answers; routes and the OpenAPI document are made from these."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mailstack.store.users.api_tokens import Token
from mailstack.store.users.directory import AccountRecord
from mailstack.web.api.shapes import Problem

BODY_LIMIT = 1 << 20  # octets, where nothing else is said


class ApiProblem(Exception):
    """What is answered instead."""

    def __init__(self, status: int, text: str, reply: str | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.problem = Problem(text, reply)
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Call:
    """One request of somebody who may. `account`: in whose name; None: an admin's."""

    request: Request
    token: Token
    account: AccountRecord | None
    body: Any = None

    @property
    def peer(self) -> str:
        return self.request.client.host if self.request.client else ""

    def part(self, name: str) -> str:
        return str(self.request.path_params[name])


Answer = Callable[[Call], Awaitable[tuple[int, Any]]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """`place`: "query" or "header"; `many`: it may come several times."""

    name: str
    place: str
    text: str
    many: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`takes`: the body's type, if it is JSON; `gives`: what success answers with. `admin`: only admins' tokens."""

    method: str
    path: str  # below /api/v1
    summary: str
    answer: Answer
    status: int = 200
    takes: Any = None
    gives: Any = None
    admin: bool = True
    limit: int | None = BODY_LIMIT  # None: the largest message
    also_takes: str = ""  # another kind of body
    parameters: tuple[Parameter, ...] = ()  # beside those of the path


def as_json(value: object, status: int, headers: dict[str, str] | None = None) -> Response:
    if status == 204:
        return Response(status_code=204, headers=headers)
    return Response(msgspec.json.encode(value), status, headers, "application/json")


async def read_body(request: Request, limit: int) -> bytes:
    """Raises ApiProblem when there is more than that."""
    found = bytearray()
    async for block in request.stream():
        found += block
        if len(found) > limit:
            raise ApiProblem(413, f"the body has more than {limit} octets")
    return bytes(found)


def parse(data: bytes, shape: Any) -> Any:
    """Raises ApiProblem, which names the field."""
    try:
        return msgspec.json.decode(data, type=shape)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise ApiProblem(400, str(problem)) from None
    except RecursionError:
        raise ApiProblem(400, "too deep") from None
