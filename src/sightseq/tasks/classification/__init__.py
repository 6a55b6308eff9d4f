"""Single-label classification of images and texts."""
