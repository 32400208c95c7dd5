"""SPF: one record of several."""

import pytest

from mailstack.records import spf


@pytest.mark.parametrize(
    ("found", "merged"),
    [
        ([], "v=spf1 mx -all"),
        (["v=spf1 -all"], "v=spf1 mx -all"),
        (["v=spf1 mx ~all"], "v=spf1 mx ~all"),
        (["v=spf1 +MX ~all"], "v=spf1 mx ~all"),
        (["v=spf1 include:_spf.google.com ?all"], "v=spf1 mx include:_spf.google.com ?all"),
        (["v=spf1 a mx include:x.test +all"], "v=spf1 mx a include:x.test ~all"),
        (["v=spf1 all"], "v=spf1 mx ~all"),
        (["v=spf1 redirect=_spf.x.test"], "v=spf1 mx redirect=_spf.x.test"),
        (["v=spf1 redirect=_spf.x.test -all"], "v=spf1 mx -all"),
        (
            ["v=spf1 include:x.test -all", "v=spf1 ip4:192.0.2.1 include:x.test ~all"],
            "v=spf1 mx include:x.test ip4:192.0.2.1 -all",
        ),
        (["v=spf1 redirect=x.test", "v=spf1 ip4:192.0.2.1"], "v=spf1 mx ip4:192.0.2.1 include:x.test ~all"),
        (["v=spf1 exp=why.x.test -all"], "v=spf1 mx exp=why.x.test -all"),
    ],
)
def test_one_record_of_several(found: list[str], merged: str) -> None:
    assert spf.merge(found, ("mx",)) == merged
    assert spf.merge([merged], ("mx",)) == merged
    assert spf.has(merged, ("mx",))
    assert not spf.allows_all(merged)


def test_what_is_one() -> None:
    assert all(spf.is_spf(text) for text in ("v=spf1", "V=SPF1 mx"))
    assert not any(spf.is_spf(text) for text in ("v=spf10 mx", "v=spf2.0/pra", ""))
    assert spf.merge(["v=spf1 mx -all"], ("mx", "include:r.test")) == "v=spf1 mx include:r.test -all"
    assert spf.allows_all("v=spf1 ip4:0.0.0.0/0 -all")
