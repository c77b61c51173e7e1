"""A demonstration on this machine: real files, real processes, real kills, an independent check."""
