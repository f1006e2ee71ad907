"""Line charts of up to five lines as SVG: narrow enough for a phone, readable on a light and on a dark page."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 360, 200
"""Of the image, and of the area of the lines."""
LEFT, RIGHT, TOP, LINE = 54, 24, 34, 18
STYLE = """\
text { font: 12px sans-serif; fill: #333 }
.title { font-weight: bold }
.page { fill: #fff }
.grid { stroke: #ccc }
.s0 { color: #0072b2 } .s1 { color: #c04a00 } .s2 { color: #00745a } .s3 { color: #a3478a } .s4 { color: #555 }
.s1 polyline, .s1 .key { stroke-dasharray: 6 3 } .s2 polyline, .s2 .key { stroke-dasharray: 2 2 }
.s3 polyline, .s3 .key { stroke-dasharray: 9 2 2 2 }
polyline, .key { fill: none; stroke: currentColor; stroke-width: 2 }
circle { fill: currentColor }
@media (prefers-color-scheme: dark) {
text { fill: #ddd } .page { fill: #1e2129 } .grid { stroke: #444 }
.s0 { color: #5cb8ee } .s1 { color: #f0a03c } .s2 { color: #35c9a0 } .s3 { color: #e39ac9 } .s4 { color: #bbb }
}"""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: the values with a label, and the place of any value as a share of its length."""

    labels: Mapping[float, str]
    place: Callable[[float], float]


def make_steps(values: Sequence[float], show: Callable[[float], str]) -> Axis:
    """Return an axis on which the values have equal distances."""
    steps = {value: number / max(1, len(values) - 1) for number, value in enumerate(values)}
    return Axis({value: show(value) for value in values}, steps.__getitem__)


def make_powers(values: Sequence[float]) -> Axis:
    """Return a logarithmic axis over the values, which are positive, with the powers of ten as labels."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)
    step = math.ceil((high - low) / 6)
    labels = {10.0**power: f"{10.0**power:,.{max(0, -power)}f}" for power in range(low, high + 1, step)}
    return Axis(labels, lambda value: (math.log10(value) - low) / (high - low))


def make_linear(values: Sequence[float]) -> Axis:
    """Return an axis from zero over the values."""
    size = 10 ** math.floor(math.log10(max(values)))
    step = next(size * part for part in (0.2, 0.5, 1, 2) if max(values) <= size * part * 5)
    high = math.ceil(max(values) / step) * step
    labels = {step * number: f"{step * number:,.10g}" for number in range(round(high / step) + 1)}
    return Axis(labels, lambda value: value / high)


def draw_chart(title: str, x_title: str, lines: Mapping[str, Points], x: Axis, y: Axis) -> str:
    """Return the image; its description has the first and the last value of each line."""
    height = TOP + HEIGHT + 2 * LINE + 8 + LINE * len(lines) + 6
    description = "; ".join(
        f"{name}: {points[0][1]:.3g} at {x.labels[points[0][0]]} to {points[-1][1]:.3g} at {x.labels[points[-1][0]]}"
        for name, points in lines.items()
    )
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="t d">',
        f'<title id="t">{escape(title)}</title>',
        f'<desc id="d">{escape(description)}</desc>',
        f"<style>\n{STYLE}\n</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>',
        _text(WIDTH / 2, 20, title, "middle", ' class="title"'),
        *_draw_grid(x_title, x, y),
    ]
    for number, (name, points) in enumerate(lines.items()):
        places = [(_x(x.place(at)), _y(y.place(value))) for at, value in points]
        path = " ".join(f"{left:.1f},{top:.1f}" for left, top in places)
        dots = "".join(f'<circle cx="{left:.1f}" cy="{top:.1f}" r="3"/>' for left, top in places)
        row = TOP + HEIGHT + 2 * LINE + 8 + LINE * (number + 1) - 6
        key = f'<line class="key" x1="{LEFT}" y1="{row - 4}" x2="{LEFT + 28}" y2="{row - 4}"/>'
        label = _text(LEFT + 36, row, name, "start")
        parts.append(f'<g class="s{number}"><polyline points="{path}"/>{dots}{key}{label}</g>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _draw_grid(x_title: str, x: Axis, y: Axis) -> Iterator[str]:
    for value, label in y.labels.items():
        top = _y(y.place(value))
        yield f'<line class="grid" x1="{LEFT}" y1="{top:.1f}" x2="{WIDTH - RIGHT}" y2="{top:.1f}"/>'
        yield _text(LEFT - 6, top + 4, label, "end")
    for value, label in x.labels.items():
        yield _text(_x(x.place(value)), TOP + HEIGHT + LINE, label, "middle")
    yield _text(LEFT + (WIDTH - LEFT - RIGHT) / 2, TOP + HEIGHT + 2 * LINE, x_title, "middle")


def _x(share: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * share


def _y(share: float) -> float:
    return TOP + HEIGHT * (1 - share)


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'
