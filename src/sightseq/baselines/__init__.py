"""What a neural result must beat."""
