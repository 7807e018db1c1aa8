"""Shared parts of remote storage: conditional writes, the lease, range reads, patience."""
