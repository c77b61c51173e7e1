"""Many hosts at once, over SSH. What a host does by itself is `ops/host`; here it is told to."""
