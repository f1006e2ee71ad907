"""The layers of settings above the file: annotations, environment variables and flags."""
