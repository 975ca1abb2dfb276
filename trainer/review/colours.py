"""One colour per class, none of them easily taken for another."""

from __future__ import annotations

from dataclasses import replace

from segrt.runtime.spec import ModelSpec

KELLY = (
    "ffb300", "803e75", "ff6800", "a6bdd7", "c10020", "cea262", "007d34", "f6768e", "00538a", "ff7a5c", "53377a",
    "93aa00", "b32851", "f4c800", "7f180d", "00a3a3", "593315", "f13a13", "3d6b1f", "c0fff0",
)  # fmt: skip
"""Kelly's colours of maximum contrast (1965): however many are used, the first ones differ most. Without white, black
and the grey that stands for "unsure"; three at the end are ours."""

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
        code = int(KELLY[free % len(KELLY)], 16)
        palette.append((code >> 16, code >> 8 & 255, code & 255))
        free += 1
    return replace(spec, palette=tuple(palette), hidden=hidden)
