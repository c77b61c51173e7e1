"""The gateway: an S3 endpoint in front of an old and a new store, while buckets move between them.

What it decides is pure and stands apart from what it does: `routing`, `signature`, `operation`,
`merging` and `conditions` touch neither a socket nor a store.
"""
