"""Maps a text to an object."""

import re

GOOD = frozenset({"good", "great", "love", "fine", "happy"})
BAD = frozenset({"bad", "awful", "hate", "broken", "sad"})


class Mood:
    """Counts positive and negative words; a placeholder for a language model."""

    def predict(self, text, names):
        if not isinstance(text, str):
            raise TypeError(f"send strData, not {type(text).__name__}")
        words = re.findall(r"[a-z]+", text.lower())
        good, bad = sum(word in GOOD for word in words), sum(word in BAD for word in words)
        mood = "neutral" if good == bad else ("good" if good > bad else "bad")
        return {"mood": mood, "words": len(words), "good": good, "bad": bad}
