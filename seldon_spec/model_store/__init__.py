"""Model files at URLs: downloaded once to a folder of the machine, or into an image."""
