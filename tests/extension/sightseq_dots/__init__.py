"""How many dots are in an image: a learning problem added to sightseq from outside."""
