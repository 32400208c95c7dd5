"""What the small doors share: POP3's and ManageSieve's."""
