"""The doctor: what is not well, what follows from it, and what mends it."""
