"""The IMAP door (RFC 9051, RFC 3501)."""
