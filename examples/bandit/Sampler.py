"""A router that learns from feedback which branch earns the most rewards."""

import random


class Sampler:
    """Selects a branch by Thompson sampling: each with the probability that it is the best one.

    Args:
        n_branches: number of branches of the route.
        seed: of the random numbers; null: a new one at each start.
    """

    def __init__(self, n_branches: int, seed: int | None = None):
        self.random = random.Random(seed)
        self.wins = [0.0] * n_branches
        self.losses = [0.0] * n_branches

    def route(self, X, names):
        guesses = [
            self.random.betavariate(1 + wins, 1 + losses) for wins, losses in zip(self.wins, self.losses, strict=True)
        ]
        return guesses.index(max(guesses))

    def send_feedback(self, X, names, reward, truth, routing=None):
        """Learn from a reward from 0 to 1; ``routing`` is the branch that the response came from."""
        if routing is not None and 0 <= routing < len(self.wins):
            self.wins[routing] += reward
            self.losses[routing] += 1 - reward

    def tags(self):
        counts = [wins + losses for wins, losses in zip(self.wins, self.losses, strict=True)]
        return {"counts": counts}
