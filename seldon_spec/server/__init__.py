"""The transports: they translate between a wire and the dispatcher, and know nothing of a model."""
