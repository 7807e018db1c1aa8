"""What storage on other machines shares: conditions, the lease, ranges, patience."""
