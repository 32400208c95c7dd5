"""Users' Sieve scripts, and what those scripts must remember."""
