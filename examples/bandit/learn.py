"""Send requests and rewards to the running bandit, and draw how its choices change.

    python learn.py [--url http://localhost:9000] [--requests 1000] [--svg learning.svg]

A reward is 1 if the customer accepts the offer. How often that happens is known to this script only.
"""

import argparse
import json
import random
import urllib.request
from collections import Counter
from pathlib import Path

ACCEPTED = {"book": 0.1, "film": 0.15, "song": 0.25}
"""The share of customers who accept an offer."""
COLOURS = {"book": "#0072b2", "film": "#d55e00", "song": "#009e73"}
WINDOW = 25
"""The number of requests for one point of the drawing."""
LEFT, TOP, WIDTH, HEIGHT = 48, 16, 560, 240


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://localhost:9000")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--svg", type=Path, default=Path("learning.svg"))
    arguments = parser.parse_args()
    chosen = list(converse(arguments.url, arguments.requests, random.Random(0)))
    windows = [Counter(chosen[start : start + WINDOW]) for start in range(0, len(chosen), WINDOW)]
    arguments.svg.write_text(draw(windows), encoding="utf-8")
    for first in range(0, len(chosen), 200):
        part = chosen[first : first + 200]
        shares = ", ".join(f"{offer} {part.count(offer) / len(part):.0%}" for offer in ACCEPTED)
        print(f"requests {first + 1} to {first + len(part)}: {shares}")


def converse(url, count, customers):
    """Send requests, each followed by the reward for its response; yield the offers."""
    for _ in range(count):
        request = {"data": {"ndarray": [[customers.randint(18, 80)]]}}
        response = post(f"{url}/api/v1.0/predictions", request)
        offer = response["data"]["ndarray"][0][0]
        reward = float(customers.random() < ACCEPTED[offer])
        # The response contains meta.routing, from which the server knows the branch that earned the reward.
        post(f"{url}/api/v1.0/feedback", {"request": request, "response": response, "reward": reward})
        yield offer


def post(url, message):
    request = urllib.request.Request(url, json.dumps(message).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def draw(windows):
    """Return an SVG with an area for each offer: its share of the requests of each window."""
    xs = [LEFT + WIDTH * index / max(len(windows) - 1, 1) for index in range(len(windows))]
    parts, below = [], [0.0] * len(windows)
    for offer, rate in ACCEPTED.items():
        above = [low + window[offer] / window.total() for low, window in zip(below, windows, strict=True)]
        outline = [*zip(xs, above, strict=True), *reversed(list(zip(xs, below, strict=True)))]
        points = " ".join(f"{x:.1f},{TOP + HEIGHT * (1 - share):.1f}" for x, share in outline)
        middle = TOP + HEIGHT * (1 - (list(ACCEPTED).index(offer) + 0.5) / len(ACCEPTED))
        label = f"{offer}, accepted by {rate:.0%}"
        parts.append(f'<polygon points="{points}" fill="{COLOURS[offer]}" fill-opacity="0.8"/>')
        parts.append(
            f'<rect x="{LEFT + WIDTH + 12}" y="{middle - 6:.0f}" width="12" height="12" fill="{COLOURS[offer]}"/>'
        )
        parts.append(text(LEFT + WIDTH + 30, middle + 4, label, "start"))
        below = above
    count = len(windows) * WINDOW
    parts += [text(LEFT - 6, TOP + HEIGHT * (1 - share) + 4, f"{share:.0%}", "end") for share in (0, 0.5, 1)]
    parts += [text(LEFT + WIDTH * part, TOP + HEIGHT + 18, f"{count * part:.0f}") for part in (0, 0.25, 0.5, 0.75, 1)]
    parts.append(text(LEFT + WIDTH / 2, TOP + HEIGHT + 38, "requests"))
    box = f'viewBox="0 0 {LEFT + WIDTH + 190} {TOP + HEIGHT + 48}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img" font-family="sans-serif" font-size="13" fill="#666">'
    )
    return "\n".join([head, "<title>The share of each offer over time</title>", *parts, "</svg>"]) + "\n"


def text(x, y, content, anchor="middle"):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{content}</text>'


if __name__ == "__main__":
    main()
