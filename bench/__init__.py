"""Benchmarks: ours against its peers, alternately and in one run, as ratios and medians.

Not part of the wheel and not of the tests: nothing here asserts a time. What is timed is verified
afterwards, outside the timing, and a run whose result is wrong counts for nothing.
"""
