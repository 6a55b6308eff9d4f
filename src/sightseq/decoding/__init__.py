"""Decoding: from the step-by-step outputs of a network to sequences. Independent of tasks and data."""
