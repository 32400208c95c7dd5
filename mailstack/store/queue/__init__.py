"""Messages that are owed: files are the truth, rows are schedule and state."""
