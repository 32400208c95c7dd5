"""Proofs that what was acknowledged is still there: kill -9 and power cuts under load."""
