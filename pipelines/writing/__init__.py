"""Writing of planned datasets: shards, results, publication."""
