"""Write a CSV file with the sizes of random flowers: ``python rows.py FILE [COUNT]``, a million by default."""

import random
import sys
from pathlib import Path

RANGES = {
    "sepal_length": (4.3, 7.9),
    "sepal_width": (2.0, 4.4),
    "petal_length": (1.0, 6.9),
    "petal_width": (0.1, 2.5),
}


def main(file, count="1000000"):
    numbers = random.Random(0)
    with Path(file).open("w", encoding="utf-8") as output:
        print(*RANGES, sep=",", file=output)
        for _ in range(int(count)):
            print(*(f"{numbers.uniform(*sizes):.1f}" for sizes in RANGES.values()), sep=",", file=output)


if __name__ == "__main__":
    main(*sys.argv[1:])
