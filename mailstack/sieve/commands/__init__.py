"""The commands of Sieve, a file a family."""
