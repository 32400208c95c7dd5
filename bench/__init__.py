"""Benchmarks beside real peers: `make bench`. They print ratios; they are not tests."""
