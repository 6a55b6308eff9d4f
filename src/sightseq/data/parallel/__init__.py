"""Parallel texts: pairs of sentences in two languages."""
