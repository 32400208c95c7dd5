"""A message's events as a paragraph: each has its sentence, and nothing that a stranger wrote breaks it."""

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mailstack.control.story import SENTENCES, concerns, summary, tell

PAGE = (Path(__file__).parents[2] / "docs" / "trace.md").read_text()
ARRIVED = {
    "time": 1_800_000_000.0, "id": "0mwwhqy3cs84twj1", "event": "arrived", "sender": "carol@far.example",
    "to": ["info@example.org"], "peer": "192.0.2.7", "helo": "mx.far.example", "protocol": "ESMTPS",
    "tls": "TLSv1.3 TLS_AES_256_GCM_SHA384", "subject": "Invoice 17",
}  # fmt: skip


def event(name: str, seconds: float = 1.0, **fields: object) -> dict[str, object]:
    return {"time": ARRIVED["time"] + seconds, "id": ARRIVED["id"], "event": name, **fields}  # type: ignore[operator]


def test_each_event_of_the_page_has_a_sentence_and_each_sentence_an_event() -> None:
    named = {name for row in re.findall(r"^\| (`[^|]+) \|", PAGE, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert named >= set(SENTENCES)


def test_the_whole_way_of_a_message() -> None:
    text = tell(
        [
            ARRIVED,
            event("authenticated", spf="pass far.example", dkim=["pass far.example"], dmarc="pass far.example"),
            event("judged", account="alice@example.org", score=5.5, required=5.0, junk=True,
                  findings=[["bayes", 3.5, "like what was junk before"], ["no-ptr", 2.0, ""]]),
            event("accepted", sender="carol@far.example", to=["info@example.org"]),
            event("rule", account="alice@example.org", script="main", line=12, action="fileinto Lists"),
            event("delivered", to="alice@example.org", mailbox="Lists"),
            event("queued", to=["bob@elsewhere.net"], queued_as="0mwwhqy3cs84twj2"),
            event("deferred", 2, to="bob@elsewhere.net", host="mx.elsewhere.net", reply="451 4.4.1 busy"),
            event("deferred", 300, to="bob@elsewhere.net", host="mx.elsewhere.net", reply="451 4.4.1 busy still"),
            event("failed", 900, to="bob@elsewhere.net", host="mx.elsewhere.net", reply="550 5.1.1 nobody"),
            event("bounced", 901, to="carol@far.example", notice="0mwwhqy3cs84twj3", action="failed"),
            event("fetched", 1000, account="alice@example.org", protocol="imap", client="Thunderbird 128"),
        ]
    )  # fmt: skip
    for words in (
        "“Invoice 17” from carol@far.example to info@example.org came on ",
        "from mx.far.example [192.0.2.7] over TLS 1.3",
        "SPF pass far.example; DKIM pass far.example; DMARC pass far.example",
        "For alice@example.org it was taken for junk, score 5.5 of 5.0: bayes +3.5 (like what was junk before), no-ptr +2.",
        "The rule “main”, line 12, said: fileinto Lists.",
        "It was put into Lists of alice@example.org at ",
        "For bob@elsewhere.net it was put off for the 2nd time at ",
        "mx.elsewhere.net said “451 4.4.1 busy still”.",
        "For bob@elsewhere.net it was given up at ",
        "carol@far.example was told that it failed, by the notice 0mwwhqy3cs84twj3.",
        "alice@example.org fetched it first at ",
        "with Thunderbird 128 (IMAP).",
    ):
        assert words in text, (words, text)
    assert "busy”" not in text


def test_one_of_several_receivers_is_told_of_alone() -> None:
    events = [
        ARRIVED,
        event("judged", account="alice@example.org", score=1, required=5, junk=False, findings=[]),
        event("judged", account="bob@example.org", score=9, required=5, junk=True, findings=[]),
        event("delivered", to="alice@example.org", mailbox="INBOX"),
        event("delivered", to="bob@example.org", mailbox="Junk"),
    ]
    assert "bob@example.org" not in tell(concerns(events, "Alice@example.org"))
    assert "alice" not in tell(concerns(events, "bob@example.org"))
    for whole in ("carol@far.example", "info@example.org"):
        assert concerns(events, whole) == events


def test_refused_and_what_nobody_knows_are_told_as_they_stand() -> None:
    text = tell([ARRIVED, event("refused", reason="dmarc-policy", reply="550 5.7.1 No")])
    assert "It was refused with the reply “550 5.7.1 No” (dmarc-policy)." in text
    assert "Sparkled at " in tell([event("sparkled", colour="red")])
    assert "colour red" in tell([event("sparkled", colour="red")])
    assert tell([]) == ""
    assert summary([]) is None


def test_words_of_strangers_hold_no_commands_for_a_terminal() -> None:
    text = tell([{**ARRIVED, "subject": "a\x1b[31m\u202eb"}, event("deferred", to="x@y", host="h", reply="4\x07\x9b")])
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", text)


values = st.one_of(st.none(), st.text(max_size=20), st.lists(st.text(max_size=9), max_size=3), st.integers(), st.booleans())


@given(
    st.sampled_from(sorted(SENTENCES)),
    st.dictionaries(
        st.sampled_from(["subject", "peer", "helo", "tls", "reply", "host", "client"]),
        st.one_of(st.none(), st.text(max_size=20)),
    ),
    values,
)
def test_anything_is_told_without_an_error(name: str, fields: dict[str, object], script: object) -> None:
    tell([event(name, to="x@y", account="a@b", script=script, **fields)])


def test_what_mail_filters_said() -> None:
    text = tell(
        [
            ARRIVED,
            event("milter", milter="127.0.0.1:8891", reply=None, changes=["added X-A", "removed X-B"]),
            event("milter", milter="127.0.0.1:8892", problem="it hung up"),
            event("milter", milter="127.0.0.1:8893", reply="550 5.7.1 No", changes=[]),
            event("refused", reason="milter", reply="550 5.7.1 No"),
        ]
    )
    for words in (
        "The mail filter 127.0.0.1:8891 let it go on (added X-A, removed X-B).",
        "The mail filter 127.0.0.1:8892 gave no answer: it hung up.",
        "The mail filter 127.0.0.1:8893 stopped it: 550 5.7.1 No.",
    ):
        assert words in text, (words, text)
