"""Write docs/images/page-*.png: the states of the web page that the documentation shows.

Run it after a change of the page, with the environment of ``make test-browser``: the browser tests write the images.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
MAX_BYTES = 150_000


def main() -> int:
    """Write the images, and return 1 if a test fails or an image is too large."""
    command = [sys.executable, "-m", "pytest", "-m", "browser", "--screenshots", str(IMAGES)]
    done = subprocess.run([*command, str(ROOT / "tests" / "browser" / "test_look.py")], cwd=ROOT, check=False)
    large = [path.name for path in IMAGES.glob("page-*.png") if path.stat().st_size > MAX_BYTES]
    print(*(f"{name} is larger than {MAX_BYTES:,} bytes" for name in large), sep="\n")
    return 1 if done.returncode or large else 0


if __name__ == "__main__":
    sys.exit(main())
