"""A model that needs a secret."""

import hashlib
import hmac
import os


class Signing:
    """Signs a text with a key that is in no file of this folder.

    Args:
        key: the signing key.
        salt: a prefix of each text.
    """

    def __init__(self, key: str, salt: str):
        self.key = key.encode()
        self.salt = salt

    def predict(self, text, names):
        return hmac.new(self.key, f"{self.salt}{text}".encode(), hashlib.sha256).hexdigest()

    def tags(self):
        return {"database": os.environ["DATABASE_USER"]}
