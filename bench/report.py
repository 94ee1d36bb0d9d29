"""The result: a table for the terminal, a JSON document, and a picture of how far each target is met."""

import json
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

_BAR_AREA, _LABEL_AREA, _ROW, _TOP, _WIDTH = 470, 330, 34, 64, 960
_LONGEST = 2.0  # in targets; a longer bar is cut there


class Figure(NamedTuple):
    """One measured ratio or size; without a target it is there to compare with."""

    name: str
    value: float
    unit: str
    target: float | None = None
    is_ceiling: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the target is reached."""
        return self.target is None or (self.value <= self.target if self.is_ceiling else self.value >= self.target)

    @property
    def share(self) -> float:
        """How far the target is met: 1 is exactly."""
        if self.target is None or not self.value:
            return 0.0
        return self.target / self.value if self.is_ceiling else self.value / self.target

    def wanted(self) -> str:
        """The target in words."""
        return (
            "" if self.target is None else f"{'at most' if self.is_ceiling else 'at least'} {self.target:g}{self.unit}"
        )

    def shown(self) -> str:
        """The value in words."""
        return f"{self.value:.3g}{self.unit}"


class Report:
    """Collects the figures of a run."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []
        self.context: list[str] = []

    def add(self, figure: Figure) -> None:
        """Keep a figure, and say it at once."""
        self.figures.append(figure)
        print(f"= {figure.name}: {figure.shown()} {figure.wanted()}", flush=True)

    def note(self, text: str) -> None:
        """Keep a line of context: absolute numbers mean something on this machine only."""
        self.context.append(text)
        print(f"  {text}", flush=True)

    def text(self) -> str:
        """The table."""
        width = max(len(figure.name) for figure in self.figures)
        rows = [
            f"{figure.name:<{width}}  {figure.shown():>10}  {figure.wanted():<18} {_verdict(figure)}".rstrip()
            for figure in self.figures
        ]
        return "\n".join([*rows, "", "Context (this machine, this run):", *(f"  {line}" for line in self.context), ""])

    def write(self, folder: Path) -> None:
        """Write `result.txt`, `result.json` and `result.svg`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "result.txt").write_text(self.text())
        document = {"figures": [figure._asdict() for figure in self.figures], "context": self.context}
        (folder / "result.json").write_text(json.dumps(document, indent=2) + "\n")
        (folder / "result.svg").write_text(self._picture())

    def _picture(self) -> str:
        aimed = [figure for figure in self.figures if figure.target is not None]
        height = _TOP + _ROW * len(aimed) + 24
        line = _LABEL_AREA + _BAR_AREA / _LONGEST
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"',
            'font-family="sans-serif" font-size="13">',
            f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
            '<text x="16" y="26" font-size="16" font-weight="bold">How far each target is met</text>',
            f'<text x="{line}" y="{_TOP - 14}" text-anchor="middle" fill="#555">target</text>',
        ]
        for row, figure in enumerate(aimed):
            parts += _bar(figure, _TOP + row * _ROW)
        parts.append(
            f'<line x1="{line}" x2="{line}" y1="{_TOP - 8}" y2="{height - 20}" stroke="#333" stroke-dasharray="4 3"/>'
        )
        return "\n".join([*parts, "</svg>", ""])


def _bar(figure: Figure, top: float) -> list[str]:
    length = _BAR_AREA * min(figure.share, _LONGEST) / _LONGEST
    colour = "#2a7f62" if figure.is_met else "#b3412f"
    middle = top + _ROW / 2 + 1
    return [
        f'<text x="{_LABEL_AREA - 10}" y="{middle}" text-anchor="end">{escape(figure.name)}</text>',
        f'<rect x="{_LABEL_AREA}" y="{top + 4}" width="{length:.1f}" height="{_ROW - 12}" rx="2" fill="{colour}"/>',
        f'<text x="{_LABEL_AREA + _BAR_AREA + 8}" y="{middle}">{escape(figure.shown())}',
        f'<tspan fill="#555">({escape(figure.wanted())})</tspan></text>',
    ]


def _verdict(figure: Figure) -> str:
    if figure.target is None:
        return ""
    return "met" if figure.is_met else "NOT MET"
