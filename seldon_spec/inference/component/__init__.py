"""The user's class: found, built and called."""
