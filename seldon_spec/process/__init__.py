"""The supervisor, its workers, their signals and sockets."""
