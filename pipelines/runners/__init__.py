"""Where shards are processed: this process, Beam, or an engine."""
