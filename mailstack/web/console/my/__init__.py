"""Pages for the owner of an account: what he does for himself."""
