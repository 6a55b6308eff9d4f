"""Datasets of labelled sequences of vectors: wearable sensors, key points."""
