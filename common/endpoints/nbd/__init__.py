"""Block devices over the network: both sides of the NBD protocol, and who may write to an export.

Wire and handshake are `wire`, `options` and `handshake`; a client and a server stand on them.
"""
