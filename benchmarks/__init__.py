"""Servers of models side by side: the same class, bodies and load for each, measured by wrk and h2load."""
