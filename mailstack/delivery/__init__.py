"""From accepted to arrived."""
