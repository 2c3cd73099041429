"""SVG by hand: text, axes and a document, so that no plotting library has to be installed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

INK, GRID, FAINT = "#1f2933", "#e4e7eb", "#9aa5b1"
OURS = ("#0a7d62", "#35a883", "#06503f", "#7bb661", "#4c7d0a", "#1f9aa0", "#0d5f78")
# Of the others, warm and grey against our greens, told from each other by hue and lightness alike.
OTHERS = ("#b4541a", "#3366aa", "#8a5a9e", "#9aa5b1", "#a8842c", "#5b6770", "#c2557a", "#4a9bb5")
SIZE = 13  # of letters, in pixels
LINE = 17  # from one line of text to the next
NEAR = 13  # pixels from a dot to its number, where there is room
_LETTER = 0.56 * SIZE  # width of one, on average, of a sans-serif
_TURNS = [turn * math.pi / 8 for turn in (12, 0, 4, 8, 14, 10, 2, 6, 13, 11, 3, 5)]  # above first, then to the right
_FAR = (NEAR, 18, 24, 32, 40, 50, 60, 72, 84)  # pixels from a dot to its number


@dataclass(frozen=True, slots=True)
class Axis:
    """Logarithmic, with the value `first` at the pixel `start` and `last` at `end`; the greater may be either of them."""

    first: float
    last: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """The pixel of a value."""
        return self.start + (self.end - self.start) * math.log(value / self.first) / math.log(self.last / self.first)

    def ticks(self) -> list[float]:
        """Round values inside: 1, 2, 5 in each decade, or the decades alone where those would be too many."""
        low, high = sorted((self.first, self.last))
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        inside = [value for decade in decades for digit in (1, 2, 5) if low <= (value := digit * 10.0**decade) <= high]
        return inside if len(inside) <= 9 else [value for value in inside if math.log10(value) % 1 == 0]


def frame(across: Axis, upward: Axis, titles: tuple[str, str, str], least: float = 0.0) -> list[str]:
    """Title, grid, the values at it, and what the axes mean: `titles` are the plot's, the one across, the one upward.

    Upward no value below `least` is named.
    """
    title, below, above = titles
    left, right, bottom, top = across.start, across.end, upward.start, upward.end
    parts = [text(10, 22, title, bold=True), text(10, top - 12, above)]
    for value in across.ticks():
        x = across.place(value)
        parts += [_line(x, bottom, x, top), text(x, bottom + 18, number(value), anchor="middle")]
    for value in (value for value in upward.ticks() if value >= least):
        y = upward.place(value)
        parts += [_line(left, y, right, y), text(left - 8, y + 4, number(value), anchor="end")]
    return [*parts, text((left + right) / 2, bottom + 40, below, anchor="middle")]


def spread(wanted: Sequence[float], low: float, high: float) -> list[float]:
    """Heights at least a line apart and inside, each as near to the one that it wants as its neighbours let it."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    placed = [0.0] * len(wanted)
    before = low - LINE
    for index in order:
        before = placed[index] = max(wanted[index], before + LINE)
    after = high + LINE
    for index in reversed(order):
        after = placed[index] = min(placed[index], after - LINE)
    return placed


def beside(dots: Sequence[tuple[float, float]], top: float, bottom: float) -> list[tuple[float, float]]:
    """Where the number of each dot stands: near it, on no other dot, and on no number that stands already."""
    placed: dict[int, tuple[float, float]] = {}
    for index in sorted(range(len(dots)), key=lambda index: dots[index]):
        x, y = dots[index]
        taken = [(at, 2 * _LETTER + 6, SIZE) for at in placed.values()]
        taken += [(dot, _LETTER + 8, SIZE - 2) for dot in dots if dot != (x, y)]
        around = [(x + far * math.cos(turn), y + far * math.sin(turn)) for far in _FAR for turn in _TURNS]
        free = (
            at
            for at in around
            if top + SIZE / 2 < at[1] < bottom - SIZE / 2
            and all(abs(at[0] - one[0]) > wide or abs(at[1] - one[1]) > high for one, wide, high in taken)
        )
        placed[index] = next(free, around[0])
    return [placed[index] for index in range(len(dots))]


def leader(dot: tuple[float, float], number: tuple[float, float], colour: str) -> str:
    """The line from a dot to its number where that stands apart; it ends before the number begins."""
    (x, y), far = dot, math.dist(dot, number)
    if far < 2 * NEAR:
        return ""
    to_x, to_y = (at + (to - at) * (far - SIZE * 0.7) / far for at, to in zip(dot, number, strict=True))
    return f'<path d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}" stroke="{colour}"/>'


def text(x: float, y: float, content: str, anchor: str = "start", bold: bool = False, colour: str = INK) -> str:
    """One line; `y` is its base."""
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{weight}>{escape(content)}</text>'


def width(content: str) -> float:
    """Pixels that a line of text takes, about."""
    return _LETTER * len(content)


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def document(wide: float, high: float, parts: Sequence[str]) -> str:
    """The whole file."""
    size = f'width="{wide:.0f}" height="{high:.0f}" viewBox="0 0 {wide:.0f} {high:.0f}"'
    font = f'font-family="system-ui, sans-serif" font-size="{SIZE}"'
    background = '<rect width="100%" height="100%" fill="#ffffff"/>'
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>\n{background}\n{body}\n</svg>\n'


def _line(x: float, y: float, to_x: float, to_y: float) -> str:
    return f'<path d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}" stroke="{GRID}"/>'
