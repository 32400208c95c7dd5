"""A mail server in one process: SMTP in and out, submission, a relay queue and IMAP over a Maildir."""

__version__ = "0.1.0"
