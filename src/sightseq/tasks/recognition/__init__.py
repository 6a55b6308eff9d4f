"""Recognition of sequences without alignment: lines of writing and speech to characters."""
