"""HTTP/2 as a server of gRPC speaks it: connections, streams, flow control."""
