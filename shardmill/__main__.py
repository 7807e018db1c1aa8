"""`python -m shardmill`: the command line."""

from shardmill.cli import main

if __name__ == "__main__":
    main()
