"""Plots as SVG, by hand: bars and a scatter are all that the reports need, and no plotting library has to be installed."""

import math
from collections.abc import Sequence
from html import escape

_FONT = 'font-family="system-ui, sans-serif" font-size="13"'
_OURS, _OTHERS, _INK, _GRID = "#0a7d62", "#9aa5b1", "#1f2933", "#e4e7eb"
_WIDE, _HIGH = 180, 13  # room for a label
_LINE = 24  # height of a bar with its gap


def bars(title: str, unit: str, rows: Sequence[tuple[str, float, float, float, bool]]) -> str:
    """Horizontal bars, one a row: name, median, low, high, and whether it is ours. The whisker is the range."""
    left, width, top = 250, 430, 46
    longest = max(high for _, _, _, high, _ in rows)

    def x(value: float) -> float:
        return left + width * value / longest

    parts = [_text(10, 22, title, bold=True)]
    for index, (name, middle, low, high, ours) in enumerate(rows):
        y = top + index * _LINE
        parts += [
            _text(left - 8, y + 13, name, anchor="end"),
            f'<rect x="{left}" y="{y}" width="{x(middle) - left:.1f}" height="16" fill="{_OURS if ours else _OTHERS}"/>',
            f'<path d="M{x(low):.1f} {y + 8}H{x(high):.1f}" stroke="{_INK}" stroke-width="1.5"/>',
            _text(x(high) + 6, y + 13, f"{_short(middle)} {unit}"),
        ]
    return _document(left + width + 130, top + len(rows) * _LINE + 10, parts)


def scatter(title: str, across: str, upward: str, points: Sequence[tuple[str, float, float, bool]]) -> str:
    """Points with their names: name, x, y, and whether it is ours. The axes span the data; the one across is logarithmic."""
    left, top, width, height = 90, 46, 520, 330
    xs, ys = [math.log(point[1]) for point in points], [point[2] for point in points]

    def place(value: float, values: Sequence[float], start: float, size: float) -> float:
        low, high = min(values), max(values)
        return start + size * (0.05 + 0.9 * ((value - low) / (high - low) if high > low else 0.5))

    frame = f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="{_GRID}"/>'
    parts = [_text(10, 22, title, bold=True), frame]
    dots = [
        (name, place(math.log(x), xs, left, width), 2 * top + height - place(y, ys, top, height), ours)
        for name, x, y, ours in points
    ]
    for _, at, up, ours in dots:
        parts.append(f'<circle cx="{at:.1f}" cy="{up:.1f}" r="5" fill="{_OURS if ours else _OTHERS}"/>')
    for name, at, up in _apart([(name, at + 8, up + 4) for name, at, up, _ in dots]):
        parts.append(_text(at, up, name))
    for value in (min(xs), max(xs)):
        parts.append(_text(place(value, xs, left, width), top + height + 18, _short(math.exp(value)), anchor="middle"))
    for value in (min(ys), max(ys)):
        parts.append(
            _text(left - 6, top + height - (place(value, ys, top, height) - top) + 4, f"{value:.3f}", anchor="end")
        )
    parts.append(_text(left + width / 2, top + height + 38, across, anchor="middle"))
    parts.append(_text(left, top - 6, upward))
    return _document(left + width + 180, top + height + 52, parts)


def _apart(labels: Sequence[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    """The labels, moved down where one would lie on another."""
    placed: list[tuple[str, float, float]] = []
    for name, x, y in sorted(labels, key=lambda label: label[2]):
        while any(abs(x - other_x) < _WIDE and abs(y - other_y) < _HIGH for _, other_x, other_y in placed):
            y += 1
        placed.append((name, x, y))
    return placed


def _text(x: float, y: float, content: str, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_INK}"{weight}>{escape(content)}</text>'


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _document(width: float, height: float, parts: Sequence[str]) -> str:
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    body = "\n".join(parts)
    background = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {_FONT}>\n{background}\n{body}\n</svg>\n'
