"""The HTTP door: /healthz, and that is all for now."""
