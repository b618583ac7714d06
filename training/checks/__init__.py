"""Benchmarks that examine the gate itself, not a student for use; run one by its path."""
