"""A model that is bound to the thread that created it."""

import sqlite3

ARTICLES = [("apple", 3), ("pear", 0), ("plum", 12)]


class Stock:
    """Looks up articles in a database; ``sqlite3`` allows only the thread that opened a connection to use it."""

    def __init__(self):
        self.connection = sqlite3.connect(":memory:")
        self.connection.execute("CREATE TABLE stock (article TEXT PRIMARY KEY, pieces INTEGER)")
        self.connection.executemany("INSERT INTO stock VALUES (?, ?)", ARTICLES)

    def predict(self, X, names):
        return [[self.count(article)] for article in X.ravel()]

    def send_feedback(self, X, names, reward, truth, routing=None):
        for article in X.ravel():
            self.connection.execute("UPDATE stock SET pieces = max(pieces - 1, 0) WHERE article = ?", (str(article),))

    def count(self, article):
        row = self.connection.execute("SELECT pieces FROM stock WHERE article = ?", (str(article),)).fetchone()
        return 0 if row is None else row[0]

    def health_status(self):
        return [[self.count("apple")]]

    class_names = ("pieces",)
