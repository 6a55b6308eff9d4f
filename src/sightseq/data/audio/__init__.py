"""Datasets of sounds."""
