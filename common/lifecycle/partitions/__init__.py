"""Data partitions that move off a disk or node: the tables of partition, disk and node, and the
one record that says who holds a partition and who may write. Pure: nothing here talks to anybody.
"""
