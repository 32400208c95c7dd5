"""Evidence in one field."""

import pytest

from mailstack.message.header import fields
from mailstack.policy.judgement import Finding, Judgement, evidence, read_evidence

FOUND = (Finding("helo-ours", 4.0, "says to be this server"), Finding("bayes", -1.5, "like wanted mail"))


@pytest.mark.parametrize("findings", [(), FOUND, FOUND * 20])
def test_evidence_is_one_field_that_can_be_read_back(findings: tuple[Finding, ...]) -> None:
    judgement = Judgement(sum(one.weight for one in findings), findings, junk=bool(findings))
    written = evidence(judgement)
    assert len(fields(written)) == 1
    assert max(map(len, written.splitlines())) <= 110
    read = read_evidence(written + b"\r\n")
    assert read is not None
    assert (read.score, read.junk, read.required) == (judgement.score, judgement.junk, 5.0)
    assert [(one.rule, one.weight) for one in read.findings] == [(one.rule, one.weight) for one in findings]


@pytest.mark.parametrize("value", [b"", b"Yes", b"Maybe, score=1", b"Yes, score=1.2.3", b"\xff"])
def test_what_is_no_evidence_is_none(value: bytes) -> None:
    assert read_evidence(b"X-Spam-Status: " + value + b"\r\n\r\n") is None
