"""Moves the objects of one bucket while users go on: pages of its old listing, one after the other.

Nothing here is a protocol of its own: a background copy is a conditional put with a marker, and
what a reader makes of it says `consumer/trans/buckets/routing.py`.
"""
