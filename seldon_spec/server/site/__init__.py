"""What the server shows of its model besides the protocols: the web page and the OpenAPI document."""
