"""What follows from the declared inputs and outputs of a model."""
