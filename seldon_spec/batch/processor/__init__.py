"""The format of ``seldon-batch-processor``: a line of JSON for each request, and the whole response to it."""
