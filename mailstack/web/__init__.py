"""The HTTP door: /healthz."""
