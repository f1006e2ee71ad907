"""The Dockerfile and .dockerignore of a spec: pure functions, the same bytes for the same spec."""
