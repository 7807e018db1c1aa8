"""What a damaged TFRecord file still holds."""
