"""Running scripts in tests: a message, an environment, and answers to questions."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from mailstack.message.address import parse_address
from mailstack.sieve.actions import Action, Discard, FileInto, Keep, Notify, Outcome, Redirect, Reject, Respond
from mailstack.sieve.environment import Environment
from mailstack.sieve.limits import Limits
from mailstack.sieve.message import Message
from mailstack.sieve.questions import Question
from mailstack.sieve.run import answered, run
from mailstack.sieve.script import compile

MESSAGE = b"""From: "Coyote, Wile E." <coyote@desert.example.org>
To: roadrunner+birds@acme.example.com, =?utf-8?q?J=C3=B6rg?= <jorg@acme.example.com>
Cc: team: ann@acme.example.com, bob@other.example.net;
Subject: [acme] I have a present =?utf-8?q?f=C3=BCr?= you
Date: Tue, 1 Apr 1997 09:06:31 -0800
Message-ID: <1@desert.example.org>
X-Score: 17
X-Score: 4
X-Empty:
List-Id: Acme <acme.example.com>

Look, I'm sorry about the whole anvil thing.
""".replace(b"\n", b"\r\n")
PARTS = b"""From: a@x.test
To: b@y.test
Subject: outer
Content-Type: multipart/mixed; boundary="b1"

pre
--b1
Content-Type: text/plain; charset=utf-8; format=flowed

hello w\xc3\xb6rld
--b1
Content-Type: multipart/alternative; boundary=b2

--b2
Content-Type: text/html

<p>html text</p>
--b2
Content-Type: Application/PDF; name="A b.pdf"
Content-Disposition: attachment; filename*=utf-8''%c3%a4.pdf
Content-Transfer-Encoding: base64

aGVsbG8=
--b2--
--b1
Content-Type: message/rfc822
Content-Disposition: inline

From: inner@z.test
Subject: inner
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

dee=E4p
--b1--
post
""".replace(b"\n", b"\r\n")
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone(timedelta(hours=2)))
ENVIRONMENT = Environment(
    parse_address("coyote@desert.example.org"),
    parse_address("roadrunner+birds@acme.example.com"),
    NOW,
    frozenset({"roadrunner@acme.example.com"}),
)


def outcome(
    script: str | bytes,
    message: bytes = MESSAGE,
    environment: Environment = ENVIRONMENT,
    answer: Callable[[Question], object] = lambda question: None,
    limits: Limits | None = None,
    trace: bool = False,
) -> Outcome:
    """What a script decides."""
    limits = limits or Limits()
    return answered(run(compile(script, limits), Message(message), environment, limits, trace), answer)


def short(action: Action) -> str:
    """An action in a few words."""
    match action:
        case Keep(flags=flags):
            return "keep" + _flags(flags)
        case FileInto(mailbox=mailbox, flags=flags):
            return f"file {mailbox}" + _flags(flags)
        case Redirect(address=address):
            return f"send {address}"
        case Discard():
            return "discard"
        case Reject(reason=reason):
            return f"reject {reason}"
        case Respond(to=to):
            return f"answer {to}"
        case Notify(to=to):
            return "tell " + " ".join(to)


def _flags(flags: tuple[str, ...] | None) -> str:
    return "" if not flags else " ".join(("", "with", *flags))


def actions(script: str | bytes, **settings: object) -> list[str]:
    """The actions in a few words each; a run that failed shows its reason first."""
    found = outcome(script, **settings)  # type: ignore[arg-type]
    problem = [] if found.problem is None else [f"line {found.problem.line}: {found.problem.reason}"]
    return problem + [short(action) for action in found.actions]


def holds(test: str, require: str = "", **settings: object) -> bool:
    """Whether a test is true."""
    names = ", ".join(f'"{name}"' for name in require.split())
    header = f"require [{names}];" if names else ""
    found = actions(f'{header} if {test} {{ discard; }} else {{ redirect "no@x.test"; }}', **settings)
    assert found in (["discard"], ["send no@x.test"]), found
    return found == ["discard"]
