"""What the REST port answers: the short way of messages, and Flask for the rest."""
