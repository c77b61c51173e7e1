"""The judgements about partitions: pure functions of frozen facts, which the models run, too."""
