"""The model contract: example values of the declared inputs, and whether a request matches them."""
