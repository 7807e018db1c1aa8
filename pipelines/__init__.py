"""Making a dataset: a folder of images planned, and written shard by shard by Beam."""
