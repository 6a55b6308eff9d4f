"""Data that is larger than a disk: prepared columns in files of a few megabytes, read from a folder or a server."""
