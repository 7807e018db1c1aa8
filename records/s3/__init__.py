"""Object storage that speaks S3: the only place where a request of it is made."""
