"""Judges the switches of buckets: what is due next, by facts alone."""
