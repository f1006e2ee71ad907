"""The layers of settings: the file, annotations, environment variables and flags."""
