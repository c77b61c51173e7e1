"""What one host of the fleet is to run, what it runs, and what keeps the two the same."""
