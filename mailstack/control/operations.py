"""What commands do: named operations with plain arguments. The running server and the command line call the same ones."""

from collections.abc import Awaitable, Callable
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem
from mailstack.store.errors import StoreProblem
from mailstack.store.moving.errors import MoveProblem
from mailstack.store.users.directory import DirectoryProblem

Operation = Callable[[Arguments], Awaitable[Any]]


async def run(table: dict[str, Operation], name: str, arguments: Arguments) -> dict[str, Any]:
    """One operation as an answer: {"ok": ...} or {"error": ..., "code": 1}."""
    operation = table.get(name)
    if operation is None:
        return {"error": f"there is no operation {name}", "code": 2}
    return await answer(name, operation(arguments))


async def answer(name: str, work: Awaitable[Any]) -> dict[str, Any]:
    """What came of it, with causes in words for the admin."""
    try:
        return {"ok": await work}
    except (OperationProblem, DirectoryProblem, MoveProblem) as problem:
        return {"error": str(problem), "code": 1}
    except StoreProblem as problem:
        return {"error": f"the disk: {problem.detail or type(problem).__name__}", "code": 1}
    except KeyError as problem:
        return {"error": f"{name} needs {problem}", "code": 2}
