"""One transition table per kind, and the one table of units."""
