"""The capacity section as a chart: delay against calls at once, as SVG."""

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from transcriber.benchmark.sections.capacity import Step

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 400, 70, 20, 50, 60
COLOURS = {"service": "#0b6e4f", "peer": "#b3541e"}
MIN_MS, MAX_MS = 10.0, 10_000.0
MARKS_MS = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)


def svg(steps: Sequence[Step], *, bound_ms: float, title: str) -> str:
    """p95 (line) and p50 (dashed) of every system, the bound in red; delays on a logarithmic scale."""
    most = max(step.calls for step in steps)
    parts = [*_frame(title, most), _line(_y(bound_ms), "red")]
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{_y(bound_ms) - 5:.1f}" text-anchor="end" fill="red">bound</text>')
    for number, system in enumerate(dict.fromkeys(step.system for step in steps)):
        colour = COLOURS.get(system, "#444")
        own = sorted((step for step in steps if step.system == system), key=lambda step: step.calls)
        for name, dashes in (("p95_ms", ""), ("p50_ms", ' stroke-dasharray="5 4"')):
            points = [(_x(s.calls, most), _y(ms)) for s in own if (ms := getattr(s, name)) is not None]
            shown = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(f'<polyline points="{shown}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        at = LEFT + 12 + 200 * number
        parts.append(f'<text x="{at}" y="{TOP + 16}" fill="{colour}">{escape(system)}: p95, p50 dashed</text>')
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="13">\n<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


def _frame(title: str, most: int) -> list[str]:
    middle = HEIGHT - BOTTOM + 42
    parts = [
        f'<text x="{LEFT}" y="28" font-size="15">{escape(title)}</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{middle}" text-anchor="middle">two-track calls at once</text>',
        f'<text x="16" y="{HEIGHT / 2}" transform="rotate(-90 16 {HEIGHT / 2})" text-anchor="middle">'
        "delay of a final less endpoint, ms</text>",
    ]
    for ms in MARKS_MS:
        parts.append(_line(_y(ms), "#ddd"))
        parts.append(f'<text x="{LEFT - 8}" y="{_y(ms) + 4:.1f}" text-anchor="end">{ms}</text>')
    step = max(1, round(most / 8))
    for calls in range(0, most + 1, step):
        x, y = _x(calls, most), HEIGHT - BOTTOM + 18
        parts.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{calls}</text>')
    return parts


def _line(y: float, colour: str) -> str:
    return f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}"/>'


def _x(calls: int, most: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * calls / most


def _y(ms: float) -> float:
    held = min(MAX_MS, max(MIN_MS, ms))
    share = math.log(held / MIN_MS) / math.log(MAX_MS / MIN_MS)
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share
