"""What a domain publishes in the DNS: what should be there, what is, and what it does to mail when it is not."""
