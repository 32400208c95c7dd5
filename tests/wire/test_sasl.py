"""Messages of SASL mechanisms: what they say, what they can't say, and SCRAM against another's client."""

import base64
import os
from collections.abc import Callable

import pytest
import scramp
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.message.errors import SyntaxProblem
from mailstack.wire import sasl
from mailstack.wire.saslprep import saslprep
from mailstack.wire.scram import Exchange, Keys, Unproved, derive

EXAMPLES = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "200"))
SALT = b"0123456789abcdef"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\0tim\0tanstaaftanstaaf", sasl.Plain("", "tim", "tanstaaftanstaaf")),
        (b"Ursel\0Kurt\0xipj3plmq", sasl.Plain("Ursel", "Kurt", "xipj3plmq")),
        ("\0ü\0ö".encode(), sasl.Plain("", "ü", "ö")),
    ],
)
def test_plain(data: bytes, said: sasl.Plain) -> None:
    assert sasl.plain(data) == said


@pytest.mark.parametrize("data", [b"", b"\0", b"a\0b", b"a\0b\0c\0d", b"\0\xff\0x", b"\0a\0" + b"x" * 5000])
def test_what_is_no_plain_message(data: bytes) -> None:
    with pytest.raises(SyntaxProblem):
        sasl.plain(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        # RFC 7628 4.1
        (
            b"n,a=user@example.com,\1host=server.example.com\1port=143\1"
            b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\1\1",
            sasl.Bearer("user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="),
        ),
        (b"n,,\1auth=bearer t\1\1", sasl.Bearer(None, "t")),
        (b"y,a=a=2Cb=3D,\1auth=Bearer t\1\1", sasl.Bearer("a,b=", "t")),
        (b"n,,\1\1", sasl.Bearer(None, "")),
    ],
)
def test_oauthbearer(data: bytes, said: sasl.Bearer) -> None:
    assert sasl.oauthbearer(data) == said


@pytest.mark.parametrize(
    "data",
    [b"", b"n,,", b"p=tls-unique,,\1auth=Bearer x\1\1", b"n,user,\1auth=Bearer x\1\1", b"n,,\1auth=Bearer x\1",
     b"n,,\1auth=Basic x\1\1", b"n,,\1auth\1\1", b"n,,\1auth=Bearer x", b"n,,\1auth=Bearer " + b"x" * 20000 + b"\1\1"],
)  # fmt: skip
def test_what_is_no_oauthbearer_message(data: bytes) -> None:
    with pytest.raises(SyntaxProblem):
        sasl.oauthbearer(data)


def test_xoauth2() -> None:
    assert sasl.xoauth2(b"user=a@b.test\1auth=Bearer tok\1\1") == sasl.Bearer("a@b.test", "tok")
    for data in (b"", b"user=a", b"user=a\1auth=tok\1", b"n,,\1auth=Bearer x\1\1"):
        with pytest.raises(SyntaxProblem):
            sasl.xoauth2(data)


def test_base64_as_it_is_sent() -> None:
    assert sasl.decode(sasl.encode(b"\0x")) == b"\0x"
    assert sasl.decode(b"") == sasl.decode_initial(b"=") == b""
    with pytest.raises(sasl.Cancelled):
        sasl.decode(b"*")
    for line in (b"=", b"e", b"e e=", b"eA", b"\xff"):
        with pytest.raises(SyntaxProblem):
            sasl.decode(line)


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        # RFC 4013 3
        ("I\u00adX", "IX"), ("user", "user"), ("USER", "USER"), ("\u00aa", "a"), ("\u2168", "IX"),
        ("\u0007", "\u0007"), ("\u0627\u0031", "\u0627\u0031"), ("a\u00a0b", "a b"), ("", ""),
    ],
)  # fmt: skip
def test_saslprep(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


# SCRAM ----------------------------------------------------------------------------------------------------------------


def test_the_example_of_rfc_7677() -> None:
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    exchange = Exchange(plus=False, plus_offered=False, bindings={}, nonce="%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    assert exchange.first(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == ("user", "")
    assert exchange.challenge(salt, 4096) == (
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    final = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    assert exchange.final(final, [derive("pencil", salt, 4096)])[0] == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def converse(client: scramp.ScramClient, exchange: Exchange, *keys: Keys) -> None:
    """All messages, until the client has verified the server's proof."""
    exchange.first(client.get_client_first().encode())
    client.set_server_first(exchange.challenge(SALT, 4096).decode())
    client.set_server_final(exchange.final(client.get_client_final().encode(), keys)[0].decode())


def plain_exchange(**options: bool) -> Exchange:
    return Exchange(**{"plus": False, "plus_offered": False, **options}, bindings={}, nonce="server")  # type: ignore[arg-type]


@pytest.mark.parametrize("password", ["x", "pa55 wörd", "I\u00adX", "p,w=3D"])
def test_another_implementation_agrees(password: str) -> None:
    client = scramp.ScramClient(["SCRAM-SHA-256"], "a,b=c", password)
    kept = derive(password, SALT, 4096)
    assert Keys.load(kept.dump()) == kept
    converse(client, plain_exchange(), derive("of another device", SALT, 4096), kept)


def test_a_wrong_password_and_none_at_all() -> None:
    for keys in ([], [derive("right", SALT, 4096)]):
        client = scramp.ScramClient(["SCRAM-SHA-256"], "user", "wrong")
        with pytest.raises(Unproved, match="invalid-proof"):
            converse(client, plain_exchange(), *keys)


@pytest.mark.parametrize("name", ["tls-unique", "tls-server-end-point"])
def test_a_channel_is_bound(name: str) -> None:
    def exchange(seen: bytes) -> Exchange:
        return Exchange(plus=True, plus_offered=True, bindings={name: seen}, nonce="server")

    def client() -> scramp.ScramClient:
        return scramp.ScramClient(["SCRAM-SHA-256-PLUS"], "user", "x", channel_binding=(name, b"seen"))

    converse(client(), exchange(b"seen"), derive("x", SALT, 4096))
    with pytest.raises(Unproved, match="channel-bindings-dont-match"):
        converse(client(), exchange(b"of another channel"), derive("x", SALT, 4096))


@pytest.mark.parametrize(
    ("message", "options", "reason"),
    [
        (b"y,,n=u,r=c", {"plus_offered": True}, "server-does-support-channel-binding"),
        (b"n,,n=u,r=c", {"plus": True}, "channel-binding-missing"),
        (b"y,,n=u,r=c", {"plus": True, "plus_offered": True}, "channel-binding-missing"),
        (b"p=tls-unique,,n=u,r=c", {}, "channel-binding-not-supported"),
        (b"p=tls-exporter,,n=u,r=c", {"plus": True}, "unsupported-channel-binding-type"),
        (b"n,,m=x,n=u,r=c", {}, "extensions-not-supported"),
    ],
)
def test_no_channel_is_downgraded(message: bytes, options: dict[str, bool], reason: str) -> None:
    with pytest.raises(Unproved, match=reason):
        plain_exchange(**options).first(message)


def test_y_where_nothing_was_announced() -> None:
    assert plain_exchange().first(b"y,a=me,n=u,r=c") == ("u", "me")


@pytest.mark.parametrize(
    "message", [b"", b"n", b"n,", b"n,,", b"n,,r=c", b"n,,n=,r=c", b"n,,n=u", b"n,,n=u,r=", b"n,x,n=u,r=c", b"n,,n=u=2,r=c",
                b"z,,n=u,r=c", b"p=,,n=u,r=c", b"n,,n=u,r=c\0", b"n,,n=\xff,r=c", b"n,,n=" + b"u" * 5000 + b",r=c"]
)  # fmt: skip
def test_what_is_no_first_message(message: bytes) -> None:
    with pytest.raises(SyntaxProblem):
        plain_exchange().first(message)


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (b"", SyntaxProblem), (b"c=biws,r=cserver", SyntaxProblem), (b"r=cserver,p=eA==", SyntaxProblem),
        (b"c=biws,r=cserver,p=%", SyntaxProblem), (b"c=b,r=cserver,p=eA==", SyntaxProblem),
        (b"c=biws,r=c,p=eA==", Unproved), (b"c=eSws,r=cserver,p=eA==", Unproved), (b"c=biws,r=cserver,p=eA==", Unproved),
    ],
)  # fmt: skip
def test_what_is_no_last_message(message: bytes, cause: type[Exception]) -> None:
    exchange = plain_exchange()
    exchange.first(b"n,,n=u,r=c")
    exchange.challenge(SALT, 4096)
    with pytest.raises(cause):
        exchange.final(message, [derive("x", SALT, 1)])


def a_value_or_a_problem(read: Callable[[], object]) -> None:
    try:
        read()
    except (SyntaxProblem, Unproved):
        pass


MESSAGES = st.one_of(
    st.binary(max_size=80),
    st.lists(st.sampled_from([b"n", b"y", b"p=x", b",", b"a=", b"m=", b"n=", b"r=", b"c=", b"p=", b"u", b"eA==", b"\1", b"=2C",
                              b"auth=Bearer ", b"user=", b"\0", b"\xc3\xbc"])).map(b"".join),
)  # fmt: skip


@pytest.mark.fuzz
@settings(max_examples=EXAMPLES, deadline=None)
@given(MESSAGES, MESSAGES)
def test_anything_is_a_value_or_a_problem(first: bytes, last: bytes) -> None:
    for read in (sasl.plain, sasl.oauthbearer, sasl.xoauth2, sasl.decode, sasl.decode_initial):
        a_value_or_a_problem(lambda read=read: read(first))  # type: ignore[misc]
    exchange = plain_exchange(plus_offered=True)
    a_value_or_a_problem(lambda: exchange.first(first))
    a_value_or_a_problem(lambda: (exchange.challenge(SALT, 4096), exchange.final(last, [derive("x", SALT, 1)])))
