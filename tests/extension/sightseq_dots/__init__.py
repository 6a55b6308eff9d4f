"""Counting the dots in an image: a learning problem for sightseq in a package of its own."""
