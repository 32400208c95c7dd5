"""ManageSieve (RFC 5804): users' mail programs write, check and choose their scripts."""
