"""The spec: the file, the environment and the flags, read by one loader into one frozen tree."""
