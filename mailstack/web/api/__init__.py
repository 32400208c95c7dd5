"""The HTTP API, /api/v1: sending, what became of it, and for admins what the commands do."""
