"""Pieces of music: MIDI files, piano rolls, events and melodies, with augmentation, statistics, audio and figures."""
