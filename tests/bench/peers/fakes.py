"""A peer without a library, and some that misbehave. Opened in processes of their own, by name."""

import os
import sys

import numpy as np

from segrt.runtime.model import Model


def open_peer(model: Model, threads: int):
    """Blue pixels are class 1; the first pixel of a frame says what goes wrong."""
    if model.spec.fit.value == "crop":
        raise ValueError("no such\nlibrary")

    def run(frame):
        print("something that a library prints")
        if frame[0, 0, 1] == 1:
            raise RuntimeError("a frame that\nit does not like")
        if frame[0, 0, 1] == 2:
            print("out of memory", file=sys.stderr, flush=True)
            os._exit(3)
        return (frame[..., 0] > 127).astype(np.uint8)

    return run
