"""Text to numbers and back. Knows no dataset and no network."""
