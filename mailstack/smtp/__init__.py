"""The SMTP doors (RFC 5321, RFC 6409)."""
