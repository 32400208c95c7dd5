"""The tests of Sieve, a file a family."""
