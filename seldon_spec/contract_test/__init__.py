"""Tests a model by its contract: generated requests, over every protocol, and checks of the responses."""
