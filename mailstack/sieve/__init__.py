"""Sieve, the language of users' mail rules (RFC 5228): pure, with no input or output and no clock."""
