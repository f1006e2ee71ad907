"""The way of a request: decode, call, encode, with its metrics around it. The same for every transport.

Knows no HTTP and no gRPC; the codec is an argument, so there is nothing to fork on.
"""
