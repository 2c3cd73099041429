"""The three kinds of plots of the reports: bars, points, and lines, every one of them named where it is drawn."""

import math
from collections.abc import Sequence
from itertools import cycle

from benchmarks.svg import (
    FAINT,
    GRID,
    INK,
    LINE,
    OTHERS,
    OURS,
    SIZE,
    Axis,
    beside,
    document,
    frame,
    leader,
    number,
    spread,
    text,
    width,
)

_BAR = 24  # height of a bar with its gap
_WIDE, _HIGH = 520, 380  # of a plot with two axes, without what stands around it; higher where the names need it
_WIDER = 640  # of one with points, many of them close together
_LEFT, _TOP = 62, 66


def bars(title: str, unit: str, rows: Sequence[tuple[str, float, float, float, bool]]) -> str:
    """Horizontal bars, one a row: name, median, low, high, and whether it is ours. The whisker is the range."""
    left, wide, top = 30 + max(width(name) for name, *_ in rows), 400, 46
    longest = max(high for _, _, _, high, _ in rows)

    def x(value: float) -> float:
        return left + wide * value / longest

    parts = [text(10, 22, title, bold=True)]
    for index, (name, middle, low, high, ours) in enumerate(rows):
        y = top + index * _BAR
        parts += [
            text(left - 8, y + 13, name, anchor="end"),
            f'<rect x="{left:.1f}" y="{y}" width="{x(middle) - left:.1f}" height="16" fill="{OURS[0] if ours else FAINT}"/>',
            f'<path d="M{x(low):.1f} {y + 8}H{x(high):.1f}" stroke="{INK}" stroke-width="1.5"/>',
            text(x(high) + 6, y + 13, f"{number(middle)} {unit}"),
        ]
    return document(max(left + wide + 130, 30 + width(title)), top + len(rows) * _BAR + 10, parts)


def scatter(
    titles: tuple[str, str, str, str],
    points: Sequence[tuple[str, float, float, bool]],
    floor: float,
    edge: float = math.inf,
) -> str:
    """Numbered points and their names, best first: name, x, y, and whether it is ours. The last title is the names'.

    Both axes are logarithmic; upwards y falls. A y below `floor` stands at it, an x beyond `edge` at that.
    """
    points = sorted(points, key=lambda point: (max(point[2], floor), -point[1]))
    xs, ys = [min(x, edge) for _, x, _, _ in points], [max(y, floor) for _, _, y, _ in points]
    bottom, right = _TOP + _height(points), _LEFT + _WIDER + 26
    across = Axis(min(xs) * 0.85, max(xs) * 1.15, _LEFT, _LEFT + _WIDER)
    # Room above the floor, for the numbers of the many that lose nothing.
    upward = Axis(max(*ys, 10 * floor) * 1.4, floor * 0.3, bottom, _TOP)
    parts = frame(across, upward, titles[:3], floor)
    dots = [(across.place(x), upward.place(y)) for x, y in zip(xs, ys, strict=True)]
    places = beside(dots, _TOP, bottom)
    names = [f"{name}: {number(x)}×, {-y:+z.2f}" for name, x, y, _ in points]
    parts.append(text(right + 28, _TOP - 12, titles[3]))
    parts += [leader(dot, place, FAINT) for dot, place in zip(dots, places, strict=True)]
    parts += [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{OURS[0] if ours else FAINT}" fill-opacity="0.85"/>'
        for (x, y), (*_, ours) in zip(dots, points, strict=True)
    ]
    for index, ((x, y), name, (*_, ours)) in enumerate(zip(places, names, points, strict=True), 1):
        colour, height = OURS[0] if ours else INK, _TOP + SIZE + LINE * (index - 1)
        parts.append(text(x, y + 4, str(index), anchor="middle", colour=colour, bold=ours))
        parts.append(text(right + 18, height, str(index), anchor="end", colour=colour, bold=ours))
        parts.append(text(right + 28, height, name, colour=colour, bold=ours))
    return document(right + 48 + max(map(width, [titles[3], *names])), bottom + 56, parts)


def lines(titles: tuple[str, str, str], series: Sequence[tuple[str, Sequence[tuple[float, float]], bool]]) -> str:
    """A line for each name: its points (x, y) in order, and whether it is ours, on logarithmic axes. Names stand at the ends."""
    xs, ys = ([point[at] for _, points, _ in series for point in points] for at in (0, 1))
    bottom, right = _TOP + _height(series), _LEFT + _WIDE + 26
    across, upward = Axis(min(xs), max(xs), _LEFT, _LEFT + _WIDE), Axis(min(ys) * 0.9, max(ys) * 1.1, bottom, _TOP)
    parts = frame(across, upward, titles)
    heights = spread([upward.place(points[-1][1]) for _, points, _ in series], _TOP + SIZE, bottom)
    colours = {True: cycle(OURS), False: cycle(OTHERS)}
    for (name, points, ours), height in zip(series, heights, strict=True):
        colour = next(colours[ours])
        places = [(across.place(x), upward.place(y)) for x, y in points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        parts += [
            _pointer(*places[-1], right, height),
            f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="{2.5 if ours else 1.5}"/>',
            *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in places),
            text(right, height + 4, name, colour=colour, bold=ours),
        ]
    return document(right + 20 + max(width(name) for name, *_ in series), bottom + 56, parts)


def _height(named: Sequence[object]) -> float:
    return max(_HIGH, LINE * (len(named) + 1))


def _pointer(x: float, y: float, right: float, height: float) -> str:
    """From a point to its name."""
    return f'<path d="M{x:.1f} {y:.1f}L{right - 14} {height:.1f}H{right - 4}" fill="none" stroke="{GRID}"/>'
