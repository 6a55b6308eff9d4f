"""Images: from files to pixels, and augmentation."""
