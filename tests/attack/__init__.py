"""Long attacks on all commands: `make attack`, an hour by default."""
