"""The runtimes of model files: one module for each format, with a class as a user would write it."""
