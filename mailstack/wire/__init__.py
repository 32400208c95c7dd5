"""Words and grammars of SMTP and IMAP: pure."""
