"""The REST port: router, native handlers, and Flask where the class or a setting requires it."""
