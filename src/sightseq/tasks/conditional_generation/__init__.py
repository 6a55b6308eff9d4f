"""Generation of a text from a source: the base of translation and of captions."""
