"""Sweeps: the jobs of `sightseq train -m`, each in its own process, a folder that remembers them, and their table."""
