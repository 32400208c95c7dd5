"""Mail from files of other programs: mbox, Maildir, .eml, archives of them, takeouts."""
