"""Text to token ids and back. Independent of datasets and networks."""
