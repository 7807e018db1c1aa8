"""How a process is measured: environments, rounds, samples."""
