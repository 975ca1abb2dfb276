"""One colour per class, none of them easily taken for another."""

from __future__ import annotations

from dataclasses import replace

from segrt.runtime.spec import ModelSpec

COLOURS = (
    "ffb300", "803e75", "ff6800", "56b4e9", "c10020", "cea262", "007d34", "f6768e", "00538a", "93aa00", "00a3a3",
    "53377a", "ff7a5c", "7f180d", "f4c800", "b32851", "593315", "f13a13", "3d6b1f", "c0fff0",
)  # fmt: skip
"""After Kelly's colours of maximum contrast (1965): however many are used, the first ones differ most. Without white,
black and what a tint could not tell from the grey that stands for "unsure"."""

BLACK = (0, 0, 0)


def coloured(spec: ModelSpec, background: int) -> ModelSpec:
    """The spec with a colour for each class, and the background alone left unpainted.

    Args:
        background: a class that is no object; it is black where it must be shown. -1: none.
    """
    hidden = (background,) if 0 <= background < len(spec.class_names) else ()
    if background == 0 and len(set(spec.palette)) == len(spec.palette):
        return replace(spec, hidden=hidden)  # few classes: the runtime's colours suit all kinds of colour vision
    palette, free = [], 0
    for c in range(len(spec.class_names)):
        if c in hidden:
            palette.append(BLACK)
            continue
        code = int(COLOURS[free % len(COLOURS)], 16)
        palette.append((code >> 16, code >> 8 & 255, code & 255))
        free += 1
    return replace(spec, palette=tuple(palette), hidden=hidden)
