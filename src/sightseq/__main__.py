"""`python -m sightseq COMMAND ...` does the same as `sightseq COMMAND ...`."""

from sightseq.cli import main

if __name__ == "__main__":
    main()
