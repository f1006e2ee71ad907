"""Messages and their two wire forms."""
