"""The data node: a process with several disks that holds replicas of partitions."""
