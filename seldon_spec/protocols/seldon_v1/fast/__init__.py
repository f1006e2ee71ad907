"""Hand-written readers and writers of messages, each equal to a slower reference."""
