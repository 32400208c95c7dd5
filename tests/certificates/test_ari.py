"""Renewal: moments, waits, and the authority's suggestion."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from mailstack.certificates.ari import ask_again, certificate_id, parse_window
from mailstack.certificates.schedule import renew_at, wait_after
from mailstack.message.errors import SyntaxProblem


def test_the_id_of_the_standard() -> None:
    """RFC 9773 4.1 has this example."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(0x8765432100)
        .not_valid_before(datetime.datetime(2026, 1, 1))
        .not_valid_after(datetime.datetime(2027, 1, 1))
    )
    issuer = bytes.fromhex("69885B6B87464041E1B37B847BA0AE2CDE01C8D4".replace(":", ""))
    found = builder.add_extension(x509.AuthorityKeyIdentifier(issuer, None, None), critical=False).sign(key, hashes.SHA256())
    assert certificate_id(found) == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyEA"
    assert certificate_id(builder.sign(key, hashes.SHA256())) is None


def test_windows() -> None:
    found = parse_window(b'{"suggestedWindow": {"start": "2025-01-02T04:00:00Z", "end": "2025-01-03T04:00:00.5+00:00"}}')
    assert (found.start, found.end, found.explanation) == (1735790400.0, 1735876800.5, None)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"5", b'{"suggestedWindow": 5}', b'{"suggestedWindow": {"start": 5, "end": 6}}', b"\xff",
        b'{"suggestedWindow": {"start": "2025-01-02T04:00:00Z", "end": "2025-01-02T04:00:00Z"}}',
        b'{"suggestedWindow": {"start": "2025-01-02T04:00:00", "end": "2025-01-03T04:00:00"}}',
    ],
)  # fmt: skip
def test_what_is_no_window(body: bytes) -> None:
    with pytest.raises(SyntaxProblem):
        parse_window(body)


def test_when_to_ask_again() -> None:
    assert [ask_again(text) for text in ("", "21600", "1", "99999999", "soon")] == [21600, 21600, 60, 86400, 21600]


def test_renewal_and_waits() -> None:
    day = 86400.0
    assert renew_at(0, 90 * day, 0.0) == 60 * day
    assert 57 * day <= renew_at(0, 90 * day, 1.0) < 60 * day
    assert 4 * day / 2 < renew_at(0, 6 * day, 1.0) <= 4 * day
    waits = [wait_after(failures, 0.0) for failures in range(1, 10)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (600, day)
    assert wait_after(1, 0.0, limited=True) == 3600
    assert wait_after(1, 0.0, limited=True, retry_after=90000) == 90000
    assert wait_after(1, 0.0, retry_after=1e9) == 7 * day
