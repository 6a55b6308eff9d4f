"""Sounds: files, features, augmentation, figures and specs."""
