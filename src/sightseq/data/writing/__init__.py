"""Datasets of lines of writing with transcripts."""
