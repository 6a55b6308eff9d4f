"""Text to token ids and back. Knows no dataset and no network."""
