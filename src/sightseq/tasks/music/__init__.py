"""Generation of music: the base of piano rolls and of event streams."""
