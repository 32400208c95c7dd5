"""One run of a script over one message: questions out, answers in, and at the end what is to be done."""

from collections.abc import Callable

from mailstack.sieve.actions import Action, FileInto, Flags, Keep, Outcome, Redirect, Reject, Respond, SieveError
from mailstack.sieve.compiled import Script
from mailstack.sieve.environment import Environment
from mailstack.sieve.events import require_events
from mailstack.sieve.limits import Limits
from mailstack.sieve.message import Message
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.questions import Asks, Question
from mailstack.sieve.state import Return, Run, Stop
from mailstack.sieve.step import do

DEFAULT_LIMITS = Limits()


def run(
    script: Script, message: Message, environment: Environment, limits: Limits = DEFAULT_LIMITS, trace: bool = False
) -> Asks[Outcome]:
    """Carry a script out. Never raises what is the script's fault: then the outcome is the implicit keep and the reason.

    A generator: it yields a Question, and is sent its answer (`questions.py` says of which type).
    """
    state = Run(message, environment, limits, trace)
    try:
        if environment.event:
            require_events(script)
        try:
            yield from do(script.step, state)
        except (Stop, Return):
            pass
        actions = _resolved(state)
    except SieveProblem as problem:
        error = SieveError(problem.line, problem.reason, state.script)
        return Outcome((Keep(0),), (), error, tuple(state.trace or ()))
    return Outcome(actions, tuple(state.remember), None, tuple(state.trace or ()))


def answered(running: Asks[Outcome], answer: Callable[[Question], object]) -> Outcome:
    """Drive a run whose questions a function can answer."""
    try:
        question = next(running)
        while True:
            try:
                found = answer(question)
            except SieveProblem as problem:
                question = running.throw(problem)
            else:
                question = running.send(found)
    except StopIteration as done:
        outcome: Outcome = done.value
        return outcome


def _resolved(state: Run) -> tuple[Action, ...]:
    """The actions with the implicit keep, each place and address once (RFC 5228 2.10.2, 2.10.3)."""
    if state.keeps:
        state.actions.append(Keep(0, state.flags, state.edits))
    actions = _once(state.actions, event=state.environment.event)
    _exclude(actions)
    redirects = [action for action in actions if isinstance(action, Redirect)]
    if len(redirects) > state.limits.redirects:
        line = redirects[state.limits.redirects].line
        raise SieveProblem(line, f"more than {state.limits.redirects} redirects")
    return actions


def _once(actions: list[Action], *, event: bool) -> tuple[Action, ...]:
    """A message goes once to each mailbox and address. What comes again adds its flags.

    `event`: it is in a mailbox already, whatever its name; fileinto makes another one in any case (RFC 6785 3.3).
    """
    found: dict[object, Action] = {}
    for action in actions:
        key: object = action
        if isinstance(action, Keep):
            key = Keep if event else "INBOX"
        elif isinstance(action, FileInto):
            key = "INBOX" if action.mailbox.upper() == "INBOX" else (action.mailbox, action.use, action.id)
        elif isinstance(action, Redirect):
            key = ("to", action.address.lower())
        earlier = found.setdefault(key, action)
        if earlier is not action and isinstance(earlier, Keep | FileInto) and isinstance(action, Keep | FileInto):
            found[key] = _with_flags(earlier, action.flags)
    return tuple(found.values())


def _with_flags(action: Keep | FileInto, flags: Flags) -> Keep | FileInto:
    if not flags:
        return action
    both = tuple(dict.fromkeys((*(action.flags or ()), *flags)))
    if isinstance(action, Keep):
        return Keep(action.line, both, action.edits)
    return FileInto(action.line, action.mailbox, both, action.edits, action.create, action.use, action.id)


def _exclude(actions: tuple[Action, ...]) -> None:
    """What can't be done together (RFC 5429 2.3, RFC 5230 4.7)."""
    rejects = [action for action in actions if isinstance(action, Reject)]
    if len(rejects) > 1:
        raise SieveProblem(rejects[1].line, "a message can be rejected only once")
    for action in actions if rejects else ():
        if isinstance(action, Keep | FileInto | Redirect | Respond):
            raise SieveProblem(
                max(action.line, rejects[0].line), "a message that is rejected can't be kept, sent on or answered"
            )
