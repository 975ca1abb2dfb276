"""How another annotator's masks differ from the truth: the settings, each beside its reason."""

from __future__ import annotations

from dataclasses import dataclass

from segrt.runtime.errors import ConfigError

AROUND = -1
"""As the second class of a flip: whatever class lies around the component most, as if it had been overlooked."""


@dataclass(frozen=True)
class NoiseConfig:
    """The noise model. Lengths are pixels of a picture whose shorter side is 480, and are scaled with it.

    Everything grows with the severity s (0: the truth; 1: the values as given here), so that a sample can be brought
    to a wanted IoU. Probabilities are at s = 1 and grow in proportion.
    """

    mean_iou: float = 0.82  # the wanted mean of the samples' agreement with the truth; people reach 0.70 to 0.85
    lowest: float = 0.3  # of a sample's wanted agreement: the worst of the people's masks in public sets
    highest: float = 0.95  # from here on a sample counts as correct, as in the paper
    concentration: float = 5.0  # a + b of the Beta between the two: a spread of 0.11 around 0.82; eight people on
    # pictures of one kind differed by 0.08 around 0.79, and pictures of several kinds spread more
    severity_max: float = 4.0  # above, outlines fold over themselves and stop being a person's
    background: int = 0  # the class that counts for no agreement and that nobody draws; -1: none, as in street scenes
    tolerance_px: float = 4.0  # median of the polygons' Douglas-Peucker tolerance: between easy and medium of COCO-N
    tolerance_spread: float = 0.4  # its standard deviation as a logarithm, over components
    click_px: tuple[float, float] = (8.0, 25.0)  # distance of LabelMe clicks, by annotator
    wander_px: float = 1.5  # standard deviation of the outline's slow departure from the true border
    wander_length_px: float = 30.0  # over which the departure forgets itself: a hand drifts, it does not tremble
    click_error_px: float = 0.7  # standard deviation of a click's own error
    bias_px: float = 1.0  # standard deviation, over annotators, of drawing everything too large or too small
    care_px: float = 8.0  # things thinner than this are drawn with more care, in proportion
    smooth_px: float = 6.0  # over which the edges of lobes are rounded
    cell_px: float = 20.0  # side of the superpixels that region errors are made of
    grow: tuple[tuple[int, int, float], ...] = ()  # (from, to, p): a lobe of `to` eats into `from`
    grow_share: tuple[float, float] = (
        0.05,
        0.25,
    )  # per lobe, of all that is `from` or of all that is `to`, whichever is less
    flip: tuple[tuple[int, int, float], ...] = ()  # (from, to, p): a component is given another class, or AROUND
    miss: float = 0.05  # a component of any class is overlooked: for small ones; falls with size
    miss_share: float = 0.01  # of the picture; above this size the probability to overlook falls to a third
    merge: float = 0.2  # per class: gaps within it are closed
    merge_px: tuple[float, float] = (5.0, 9.0)  # width of the gaps that are closed
    bright: tuple[tuple[int, int, float], ...] = ()  # (from, to, p): glare on `from` beside `to` is taken for `to`
    bright_reach_px: float = 25.0  # how far from `to`
    bright_value: float = 0.75  # glare is at least so bright ...
    bright_saturation: float = 0.25  # ... and at most so colourful
    habit: float = 0.3  # share of annotators who make a given confusion as a rule, 2.5 times as often as on average
    annotators: int = 6  # so many people share the work; samples of one video or subject get the same one

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise ConfigError(f"the noise settings are wrong: {problem}")


def _problems(config: NoiseConfig) -> list[str]:
    pairs = (*config.grow, *config.flip, *config.bright)
    chances = (*(chance for _, _, chance in pairs), config.miss, config.merge, config.habit)
    lengths = (config.tolerance_px, config.wander_px, config.click_error_px, config.bias_px)
    checks = (
        (0 <= config.lowest < config.highest <= 1, "lowest must be below highest, both in 0..1"),
        (config.lowest < config.mean_iou < config.highest, "mean_iou must lie between lowest and highest"),
        (config.concentration > 0, f"concentration must be above 0, found {config.concentration}"),
        (config.severity_max > 0, f"severity_max must be above 0, found {config.severity_max}"),
        (-1 <= config.background < 255, f"background is a class id or -1, found {config.background}"),
        (min(lengths) >= 0, "lengths and errors must be 0 or more"),
        (min(config.wander_length_px, config.care_px) > 0, "wander_length_px and care_px must be above 0"),
        (config.cell_px >= 4, f"cell_px must be 4 or more, found {config.cell_px}"),
        (all(0 <= chance <= 1 for chance in chances), "probabilities must be in 0..1"),
        (config.habit < 0.4, f"habit must be below 0.4, so that habits average to 1, found {config.habit}"),
        (all(low <= high for low, high in (config.click_px, config.merge_px, config.grow_share)), "ranges must grow"),
        (all(0 <= a < 255 and AROUND <= b < 255 and a != b for a, b, _ in config.flip), "flip takes (from, to, p)"),
        (all(0 <= a < 255 and 0 <= b < 255 and a != b for a, b, _ in (*config.grow, *config.bright)),
         "grow and bright take (from, to, p) with two class ids"),
        (config.annotators >= 1, f"annotators must be 1 or more, found {config.annotators}"),
    )  # fmt: skip
    return [problem for holds, problem in checks if not holds]
