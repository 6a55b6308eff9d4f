"""One label for each sample."""
