"""`python -m sightseq COMMAND ...` is `sightseq COMMAND ...`."""

from sightseq.cli import main

if __name__ == "__main__":
    main()
