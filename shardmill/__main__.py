"""Entry point of `python -m shardmill`."""

from shardmill.cli import main

if __name__ == "__main__":
    main()
