"""Lists of accounts of other servers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.wire.passwd_file import PasswdRow, looks_like_passwd, read_passwd

HASH = "{SHA512-CRYPT}$6$salt$made"


@pytest.mark.parametrize(
    ("line", "row"),
    [
        (f"a@a.test:{HASH}", ("a@a.test", HASH, None)),
        (f"a@a.test:{HASH}::::::\r", ("a@a.test", HASH, None)),
        (f"a@a.test:{HASH}:1000:1000::/home/a::userdb_quota_rule=*:storage=5G", ("a@a.test", HASH, 5 << 30)),
        (f"a@a.test:{HASH}::::::nopassword=n userdb_quota_rule=*:bytes=1000 x=y", ("a@a.test", HASH, 1000)),
        (f"a@a.test:{HASH}::::::quota_rule=*:storage=100", ("a@a.test", HASH, 100 << 10)),
        (f"a@a.test:{HASH}::::::quota_rule=*:storage=10%", ("a@a.test", HASH, None)),
        ("root:$6$salt$made:19000:0:99999:7:::", ("root@b.test", "$6$salt$made", None)),
        (f"a@a.test|{HASH}", ("a@a.test", HASH, None)),
        ("a@a.test:{PLAIN}with|bar", ("a@a.test", "{PLAIN}with|bar", None)),
    ],
)
def test_a_line(line: str, row: tuple[str, str, int | None]) -> None:
    text = f"# who\n\n{line}\n"
    assert looks_like_passwd(text)
    assert read_passwd(text, "b.test") == ([PasswdRow(3, *row)], [])


@pytest.mark.parametrize("line", ["daemon:*:19000:0:99999:7:::", "a:!$6$x$y", "a:", "a::", "a:x:0:0:a:/:/bin/sh"])
def test_who_has_no_password_is_named(line: str) -> None:
    assert read_passwd(line, "b.test") == ([], [line.partition(":")[0]])


@pytest.mark.parametrize(
    "text", ["", "\n", "address,hash\na@a.test,x:y\n", "a@a.test,{PLAIN}a:b\n", "words and: more\n", "# a:b\n"]
)
def test_what_is_none(text: str) -> None:
    assert not looks_like_passwd(text)


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    looks_like_passwd(text)
    rows, locked = read_passwd(text, "b.test")
    assert len(rows) + len(locked) <= text.count("\n") + 1
    assert all(row.hash for row in rows)
