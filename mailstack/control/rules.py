"""rules.*: an account's rules, answer and forwarding as forms (mailstack/sieve/forms), and the script that is made of them.

Rule: a script that was written by hand is never overwritten. It goes on after the rules, or rests; its owner says which.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem
from mailstack.control.finding import find_account
from mailstack.control.operations import Operation
from mailstack.control.sieve import told
from mailstack.sieve.forms.checking import Fault, problems
from mailstack.sieve.forms.model import Forms
from mailstack.sieve.forms.reading import of_data, read, to_data
from mailstack.sieve.forms.writing import write
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.sieve.scripts import Scripts
from mailstack.store.users.directory import AccountRecord, Directory

NAME = "rules"
AFTER, REST = "after", "rest"  # what becomes of the active script that a hand wrote
PARTS = ("vacation", "forwarding", "rules")


@dataclass(frozen=True, slots=True)
class State:
    """What an account has. `name` is the forms' script, which may not be there yet; `hand` is an active one by hand."""

    name: str
    source: str | None
    forms: Forms
    active: bool
    hand: str | None
    scripts: dict[str, bool]

    @property
    def version(self) -> str:
        """By which a change in between is seen."""
        return hashlib.sha256((self.source or "").encode("utf-8", "replace")).hexdigest()[:16]


class RuleOperations:
    """One for the server."""

    def __init__(self, directory: Directory, mailboxes: Mailboxes, scripts: Scripts) -> None:
        self._directory = directory
        self._mailboxes = mailboxes
        self._scripts = scripts

    def table(self) -> dict[str, Operation]:
        return {"rules.show": self.show, "rules.save": self.save, "rules.script": self.script}

    async def _account(self, arguments: Arguments) -> AccountRecord:
        return await find_account(self._directory, arguments["address"])

    async def show(self, arguments: Arguments) -> Any:
        """The forms; `active`: whether mail goes by them; `hand`: the name of the active script where a hand wrote it."""
        state = await self._state((await self._account(arguments)).folder)
        return {
            "forms": to_data(state.forms),
            "script": state.name,
            "active": state.active,
            "hand": state.hand,
            "version": state.version,
            "scripts": [{"name": name, "active": active} for name, active in state.scripts.items()],
            "redirects": self._scripts.language.redirects,
        }

    async def script(self, arguments: Arguments) -> Any:
        """The script that forms would make: nothing is kept."""
        state = await self._state((await self._account(arguments)).folder)
        return {"source": write(self._checked(_changed(state, arguments)))}

    async def save(self, arguments: Arguments) -> Any:
        """Take over `vacation`, `forwarding` or `rules`, each as a whole; those that are not named stay.

        `hand`: "after" or "rest", where the active script was written by hand. `version`: of what was shown, to refuse
        where something else came in between.
        """
        record = await self._account(arguments)
        state = await self._state(record.folder)
        if arguments.get("version") not in (None, state.version):
            raise OperationProblem("the rules were changed meanwhile, elsewhere; look at them again")
        source = write(self._checked(_changed(state, arguments)))
        await self._mailboxes.account(self._directory.folder(record))
        await told(state.name, self._scripts.put(record.folder, state.name, source.encode()))
        await told(state.name, self._scripts.activate(record.folder, state.name))
        return {"script": state.name}

    def _checked(self, forms: Forms) -> Forms:
        found = problems(forms, self._scripts.language.redirects)
        if found:
            raise OperationProblem("; ".join(_words(fault) for fault in found[:10]))
        return forms

    async def _state(self, folder: str) -> State:
        """The forms' script is the active one, or the first of its name that no hand wrote."""
        scripts = await self._scripts.listing(folder)
        active = next((name for name, active in scripts.items() if active), None)
        names = ([active] if active else []) + [NAME, *(f"{NAME} {number}" for number in range(2, len(scripts) + 3))]
        for name in names:
            source = await self._read(folder, name) if name in scripts else None
            forms = read(source) if source is not None else Forms()
            if forms is not None:
                return State(name, source, forms, name == active, active if name != active else None, scripts)
        raise OperationProblem("there is no name left for a script")  # not to be reached: more names than scripts

    async def _read(self, folder: str, name: str) -> str:
        source: bytes = await told(name, self._scripts.read(folder, name))
        return source.decode("utf-8", "replace")


def _changed(state: State, arguments: Arguments) -> Forms:
    wanted = {**to_data(state.forms), **{part: arguments[part] for part in PARTS if part in arguments}}
    try:
        forms = of_data(wanted)
    except ValueError as problem:
        raise OperationProblem(str(problem)) from None
    return replace(forms, then=_then(state, forms, arguments.get("hand")))


def _then(state: State, forms: Forms, hand: str | None) -> str:
    if state.hand is None:
        return "" if hand == REST else forms.then
    if hand == AFTER:
        return state.hand
    if hand == REST:
        return ""
    raise OperationProblem(
        f"the active script {state.hand!r} was written by hand: let it go on after the rules ({AFTER}), or rest ({REST})"
    )


def _words(fault: Fault) -> str:
    """`rules.0.actions.1` as people count."""
    return ".".join(str(int(word) + 1) if word.isdigit() else word for word in fault.where.split(".")) + f": {fault.text}"
