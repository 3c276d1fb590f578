"""Inline SVG plots for a report that is one file: horizontal bars and lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 720
BAR_HEIGHT: Final = 18
BAR_GAP: Final = 8
LABEL_WIDTH: Final = 170
VALUE_WIDTH: Final = 110
LINE_HEIGHT: Final = 280
MARGIN: Final = 52
TICKS: Final = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One bar: its value, and a mark where its budget or limit stands."""

    label: str
    value: float
    mark: float | None = None


def number(value: float) -> str:
    """A figure as a person writes it: three significant digits, thousands separated."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def bars(title: str, rows: Sequence[Row], unit: str = "") -> str:
    """Horizontal bars; a mark shows a budget, and a bar beyond its mark is drawn as over it."""
    top = max((max(row.value, row.mark or 0.0) for row in rows), default=0.0) or 1.0
    scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / top
    parts = []
    for place, row in enumerate(rows):
        y = place * (BAR_HEIGHT + BAR_GAP) + BAR_GAP
        middle = y + BAR_HEIGHT * 0.72
        over = row.mark is not None and row.value > row.mark
        width = max(0.0, row.value) * scale
        told = number(row.value) + unit
        if row.mark is not None:
            told += f" of {number(row.mark)}"
        parts.append(
            f'<text x="{LABEL_WIDTH - 8}" y="{middle:.0f}" text-anchor="end">'
            f"{escape(row.label)}</text>"
            f'<rect class="{"over" if over else "bar"}" x="{LABEL_WIDTH}" y="{y}" '
            f'width="{width:.1f}" height="{BAR_HEIGHT}" rx="2"/>'
        )
        if row.mark is not None:
            x = LABEL_WIDTH + row.mark * scale
            parts.append(
                f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 3}" '
                f'y2="{y + BAR_HEIGHT + 3}"/>'
            )
        end = LABEL_WIDTH + max(width, (row.mark or 0.0) * scale) + 6
        parts.append(f'<text x="{end:.1f}" y="{middle:.0f}">{escape(told)}</text>')
    return _svg(len(rows) * (BAR_HEIGHT + BAR_GAP) + BAR_GAP, title, parts)


def _axes(top: float, labels: Sequence[str], xs: Sequence[float], unit: str) -> list[str]:
    bottom = LINE_HEIGHT - MARGIN
    parts = []
    for tick in range(TICKS + 1):
        y = bottom - (bottom - 16) * tick / TICKS
        parts.append(
            f'<line class="grid" x1="{MARGIN}" x2="{WIDTH - 12}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{MARGIN - 6}" y="{y + 4:.1f}" text-anchor="end">'
            f"{escape(number(top * tick / TICKS))}</text>"
        )
    # More labels than fit would cover each other.
    step = max(1, len(labels) // 12)
    for label, x in list(zip(labels, xs, strict=True))[::step]:
        parts.append(
            f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{escape(label)}</text>'
        )
    parts.append(f'<text x="4" y="10">{escape(unit)}</text>')
    return parts


def lines(
    title: str, labels: Sequence[str], series: Mapping[str, Sequence[float]], unit: str = ""
) -> str:
    """One line a series over labeled, evenly spaced places; at most four series have a color."""
    top = max((value for values in series.values() for value in values), default=0.0) or 1.0
    bottom = LINE_HEIGHT - MARGIN
    span = max(1, len(labels) - 1)
    xs = [MARGIN + 16 + (WIDTH - MARGIN - 44) * place / span for place in range(len(labels))]
    parts = _axes(top, labels, xs, unit)
    for order, (name, values) in enumerate(series.items()):
        ys = [bottom - (bottom - 16) * value / top for value in values]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
        parts.append(f'<polyline class="line s{order % 4}" points="{points}"/>')
        for x, y, value in zip(xs, ys, values, strict=True):
            told = escape(f"{name}: {number(value)} {unit}")
            parts.append(
                f'<circle class="s{order % 4}" cx="{x:.1f}" cy="{y:.1f}" r="3">'
                f"<title>{told}</title></circle>"
            )
        parts.append(
            f'<text class="key s{order % 4}" x="{MARGIN + 16 + 180 * order}" '
            f'y="{LINE_HEIGHT - 10}">● {escape(name)}</text>'
        )
    return _svg(LINE_HEIGHT, title, parts)
