"""Rules that people make by forms, and the scripts that say the same."""
