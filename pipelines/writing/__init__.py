"""From the plan to files: shards, results, publication."""
