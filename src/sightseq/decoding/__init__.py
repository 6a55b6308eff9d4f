"""Turning what a network says step by step into sequences. Knows no task and no data."""
