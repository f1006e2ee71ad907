"""Inference graphs: compositions of components that are components themselves."""
