"""Captioned images: images with one or more descriptions each."""
