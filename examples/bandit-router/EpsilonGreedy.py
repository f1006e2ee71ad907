"""A router that learns from feedback which branch has the highest reward."""

import random


class EpsilonGreedy:
    """Selects the branch with the highest mean reward, and sometimes a random other branch.

    Args:
        n_branches: number of children of the router.
        epsilon: probability of exploring, from 0 to 1.
        best_branch: the initial branch.
        seed: of the exploration; null: a new one at each start.
    """

    def __init__(self, n_branches: int, epsilon: float = 0.1, best_branch: int = 0, seed: int | None = None):
        self.epsilon = epsilon
        self.best_branch = best_branch
        self.random = random.Random(seed)
        self.counts = [0] * n_branches
        self.means = [0.0] * n_branches

    def route(self, X, names):
        if self.random.random() < self.epsilon:
            return self.random.choice([branch for branch in range(len(self.counts)) if branch != self.best_branch])
        return self.best_branch

    def send_feedback(self, X, names, reward, truth, routing=None):
        # The reward belongs to the branch that this router selected; without the branch nothing can be learned.
        if routing is None or not 0 <= routing < len(self.counts):
            return
        self.counts[routing] += 1
        self.means[routing] += (reward - self.means[routing]) / self.counts[routing]
        self.best_branch = max(range(len(self.means)), key=self.means.__getitem__)

    def tags(self):
        return {"best_branch": self.best_branch, "means": self.means}
