"""Trans: what stands in the way of live traffic while its subject moves; a package per kind."""
