"""Components of a graph that are servers of their own: clients over REST and gRPC."""
