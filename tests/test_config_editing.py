"""Settings are changed in their file, and nothing else there is."""

import pytest

from mailstack.config import Config, render
from mailstack.config.editing import EditProblem, edited

FILE = """# mine
hostname = "old.test"   # the name

[listen]
# mail from other hosts
smtp = [
  "127.0.0.1:2525",  # the trial
  "[::1]:2525",
]
# https = ["[::]:443"]

[tls]
# mode = "self-signed"

# last words
"""


def test_what_is_there_is_changed_and_comments_stay() -> None:
    found = edited(FILE, {"hostname": "new.test", "listen.smtp": ["[::]:25"], "listen.https": [], "tls.mode": "acme"})
    assert (
        found
        == """# mine
hostname = "new.test"

[listen]
# mail from other hosts
smtp = ["[::]:25"]
https = []

[tls]
mode = "acme"

# last words
"""
    )


def test_what_is_not_there_is_added() -> None:
    found = edited(FILE, {"postmaster": "a@b.test", "relay.mx_port": 26, "listen.imap": ["x:1"]})
    assert found.startswith('# mine\nhostname = "old.test"   # the name\npostmaster = "a@b.test"\n\n[listen]')
    assert found.endswith("# last words\n\n[relay]\nmx_port = 26\n")
    assert '# https = ["[::]:443"]\nimap = ["x:1"]\n\n[tls]' in found


def test_a_whole_file_of_ours() -> None:
    text = render(Config())
    assert edited(text, {"dns.dnssec": True}).count("\n") == text.count("\n")


@pytest.mark.parametrize("text", ["not toml", 'tls = { mode = "off" }\n', 'tls.mode = "off"\n', '["tls"]\nmode = "off"\n'])
def test_what_is_written_otherwise_is_left(text: str) -> None:
    with pytest.raises(EditProblem):
        edited(text, {"tls.mode": "acme"})
