"""Datasets of music: piano rolls, and MIDI files as events, as melodies or as piano rolls."""
