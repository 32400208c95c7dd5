"""Proof of who sent a message: DKIM."""
