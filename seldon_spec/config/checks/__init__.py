"""Checks that need more than one value, the class's source, or the files of the folder."""
