"""Near-duplicates: perceptual hashes, exact search, groups."""
