"""Mail accounts on a Maildir: files are the truth, the index is a cache."""
