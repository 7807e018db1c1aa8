"""Object storage that speaks S3, over botocore."""
