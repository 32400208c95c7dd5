"""IMAP's grammar: bytes to commands, values to bytes."""
