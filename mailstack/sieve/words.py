"""Actions in words, for people: in the trace of a run, and in what is told of a message."""

from mailstack.sieve import actions
from mailstack.sieve.actions import Action


def in_words(action: Action) -> str:
    """An action for people."""
    match action:
        case actions.Keep():
            return "keep" + _with(action.flags)
        case actions.FileInto():
            return f"fileinto {action.mailbox}" + _with(action.flags)
        case actions.Redirect():
            return f"redirect {action.address}"
        case actions.Discard():
            return "discard"
        case actions.Reject():
            return f"reject: {' '.join(action.reason.split())[:100]}"
        case actions.Respond():
            return f"vacation to {action.to}"
        case actions.Notify():
            return f"notify {', '.join(action.to)}"


def _with(flags: actions.Flags) -> str:
    return f" with {' '.join(flags)}" if flags else ""
