"""One run of a script: what it has found out and decided so far."""

from collections.abc import Sequence

from mailstack.message.mime import Part
from mailstack.sieve.actions import Action, Event, Flags, Remember
from mailstack.sieve.edits import Edit, Whole, apply
from mailstack.sieve.environment import Environment
from mailstack.sieve.limits import Limits
from mailstack.sieve.message import Header, Message, read_header
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.questions import Asks, Question, ScriptNamed
from mailstack.sieve.words import in_words


class Stop(Exception):
    """The script ends here (RFC 5228 3.3)."""


class Return(Exception):
    """The included script ends here (RFC 6609 3.3)."""


class Break(Exception):
    """A loop ends here: the one of this name, or with "" the innermost (RFC 5703 3.2)."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Cursor:
    """Where a loop is: `place` of the part at hand among all of the message, the next one, and where it ends."""

    __slots__ = ("end", "next", "place")

    def __init__(self, first: int, end: int) -> None:
        self.place = self.next = first
        self.end = end


class Run:
    """The state that compiled commands and tests work on."""

    __slots__ = (
        "actions", "cursors", "edits", "environment", "flags", "global_names", "globals", "header", "included", "keeps",
        "limits", "line", "matched", "message", "names", "original", "part", "part_headers", "questions", "remember",
        "responded", "script", "sent_on", "trace", "variables", "work",
    )  # fmt: skip

    def __init__(self, message: Message, environment: Environment, limits: Limits, trace: bool) -> None:
        self.message = message
        self.original = message  # who may be answered, and what it is about, is asked of that
        self.header: Header = message.header
        self.environment = environment
        self.limits = limits
        self.work = limits.work
        self.line = 0  # of the command that is carried out
        self.script = ""  # name of the included script that runs
        self.questions = 0  # asked
        self.part: Part | None = None  # that a loop is at
        self.part_headers: dict[int, Header] = {}  # by the offset of their parts
        self.responded = False  # a vacation was there
        self.keeps = True  # the implicit keep
        self.actions: list[Action] = []
        self.edits: tuple[Edit, ...] = ()
        self.sent_on: tuple[Edit, ...] | None = None  # those of redirects, where they are others (RFC 5703 6)
        self.cursors: list[Cursor] = []  # of the loops that run, the innermost last
        self.flags: Flags = environment.flags  # RFC 5232's internal variable
        self.variables: dict[str, str] = {}
        self.globals: dict[str, str] = {}
        self.global_names: frozenset[str] = frozenset()
        self.matched: Sequence[str] = ()
        self.names: tuple[ScriptNamed, ...] = ()  # of the included scripts that run
        self.included: list[ScriptNamed] = []
        self.remember: list[Remember] = []
        self.trace: list[Event] | None = [] if trace else None

    def header_of(self, part: Part) -> Header:
        """The header of a part; the whole message's has the changes of this run."""
        if part is self.message.root:
            return self.header
        found = self.part_headers.get(part.start)
        if found is None:
            found = self.part_headers[part.start] = read_header(self.message.data[part.start : part.body])
        return found

    @property
    def sent_edits(self) -> tuple[Edit, ...]:
        """What was changed of what is sent on."""
        return self.edits if self.sent_on is None else self.sent_on

    def whole(self) -> bytes:
        """The message with all that was changed so far."""
        return apply(self.message.data, self.edits)

    def rewrite(self, data: bytes) -> None:
        """From here on the message is this."""
        self.spend(2 * len(data))
        self.message = Message(data)
        self.header = self.message.header
        self.part_headers.clear()
        self.edits = (Whole(data),)

    def spend(self, work: int) -> None:
        """Count what was looked at. Raises SieveProblem when it is more than a run may."""
        self.work -= work
        if self.work < 0:
            raise SieveProblem(self.line, "the script looks at more text than one run may")

    def act(self, action: Action) -> None:
        """Decide on an action. Raises SieveProblem when there are too many."""
        self.actions.append(action)
        if len(self.actions) > self.limits.actions:
            raise SieveProblem(action.line, f"more than {self.limits.actions} actions")
        if self.trace is not None:
            self.tell(action.line, in_words(action))

    def ask(self, question: Question) -> Asks[object]:
        """The answer to a question. Raises SieveProblem when there were too many."""
        self.questions += 1
        if self.questions > self.limits.questions:
            raise SieveProblem(self.line, f"the script asks more than {self.limits.questions} questions")
        return (yield question)

    def tell(self, line: int, text: str) -> None:
        """A step of the trace, where one is kept."""
        if self.trace is not None:
            self.trace.append(Event(line, text))
