"""A network, a dataset and an experiment added to sightseq from outside."""
