"""The settings of the noisy-label method: what "Walking on Two Legs" (UAI 2020) states, and where it leaves a choice.

The first value named in a comment is the default; its reason stands beside it. Learning rates are shares of
`supervised.lr`, and each stage runs its own poly schedule with the loop settings of [supervised].
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class SegmentConfig:
    """S1, the image network on trusted labels; what is not here is in [supervised]."""

    start: str = ""  # a checkpoint of the same network, whose weights are the first ones; empty: fresh. Where few
    # labels are trusted, what S0 has seen of all pictures is worth more than their labels' errors cost
    iterations: int = 0  # 0: as many as [supervised] says
    lr_scale: float = 1.0


@dataclass(frozen=True)
class DualConfig:
    """The label network and the recurrent link that ties it to the image network's decoder (paper, figure 2)."""

    scales: int = 4  # decoder scales that the link walks over, counted from the finest; the paper's n
    f_source: str = "image"  # "image": the link sees the image decoder's maps alone, so that the image network runs
    # alone at test time as it did in training; "both": the label decoder's too
    fuse: str = "add"  # how h_k enters the label decoder: "add" or "concat" with a 1x1 convolution
    h0: str = "none"  # state before the coarsest scale: "none" (h_1 = Wmid(f_1)), or "bottleneck", a 1x1 of the image's
    up: str = "bilinear_first"  # then the block at scale k, as the text says; "block_first" is 4 times cheaper;
    # "transposed" brings checkerboards
    label_input: str = "mask"  # what the label network sees: "mask", the image only through the link; or "mask+rgb"
    residual: bool = False  # logits = alpha * label + correction instead of plain logits
    detach_visual: bool = True  # the label loss does not reach the image network through the link
    init: str = (
        "paper"  # of the link's layers: "paper", Gaussian, std 0.1 (variance 0.01); or "he". Heads have std 0.01
    )


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The discriminator, and the stage that trains it alone (S3)."""

    iterations: int = 1500  # S3: 5 % of the paper-sized budget
    channels: tuple[int, ...] = (32, 64, 128, 256, 256, 256, 256)  # seven blocks of stride 2: 5.0 M parameters
    mask: str = "onehot"  # 3 + K channels; "per_class4": RGB and one class's map, the scores of the classes that are
    # there, but for noise.background, averaged: the literal four
    init: str = (
        "torch"  # torch's own, with which docs/results.md was measured; "paper": Gaussian, std 0.1; or "he". The
    )
    # last layer has std 0.01
    norm: str = "batch"  # real and fake in one batch; "group" or "spectral"
    optimizer: str = "sgd"  # as the paper's other parts; or "adam" (1e-4, 0.5 / 0.9), which stalls less often
    lr_scale: float = 0.1  # of supervised.lr, for SGD
    adam_lr: float = 1e-4  # for Adam
    real_target: float = 0.9  # one-sided label smoothing
    mask_noise: float = 0.05  # std of Gaussian noise on the mask channels while training


@dataclass(frozen=True)
class CorrectConfig:
    """S2: the label network learns to turn a wrong label into the right one."""

    iterations: int = 6000  # 20 % of the budget
    lr_scale: float = 1.0
    source: str = "mixed"  # wrong labels shown: "mixed", half predictions, half synthetic re-annotations; "predicted"
    # alone is the paper's, but networks err unlike people: it would never see a whole region wrong; "synthetic" alone
    predictions: str = "folds"  # whose: "folds", networks that never saw the picture; "snapshot", an early state of
    # S1; "final", S1 itself, whose predictions on its own training pictures are too clean
    folds: int = 3
    fold_share: float = 0.5  # iterations of each fold's network, as a share of supervised.iterations
    snapshot_share: float = 0.3  # of S1's iterations, at which the snapshot is taken
    temperature: float = 2.0  # of the predictions' softmax
    second: bool = False  # a trusted sample that has a mask in data.noisy too is shown with it beside the synthetic
    # ones: the very errors that are to be mended, where an annotator or a rule labelled everything
    variants: int = 3  # synthetic re-annotations per trusted picture
    holdout: float = 0.1  # share of trusted pictures kept out of S2..S4, on which revision is judged


@dataclass(frozen=True)
class AdversarialConfig:
    """S4: the label network and the discriminator against one another, on noisy labels (paper, L_total)."""

    iterations: int = 3000  # 10 % of the budget
    lr_scale: float = 0.1
    bce_weight: float = 1e-4  # the paper's lambda
    bce_reduction: str = "sum"  # over pixels, so that 1e-4 weighs something; "mean" is the literal 1/M
    saturating: bool = False  # minimise log(1 - D) as written, instead of -log D: S3 leaves it hardly a gradient
    straight_through: bool = True  # D sees hard masks, gradients pass as if soft: else it learns "is it 0 or 1?"
    anchor: str = "given"  # target of the BCE on noisy samples: "given", the noisy label; "corrected", S2's answer
    replay: float = 0.25  # share of each batch from trusted samples, with their truth as target
    keep_best: bool = True  # fall back to S2's label network where S4's revises held-out labels worse


@dataclass(frozen=True)
class ReviseConfig:
    """Revised labels z and trust weights w for the noisy samples."""

    target: str = "hard"  # the largest class; or "soft", the probabilities, made anew from each crop in S5
    min_probability: float = 0.5  # of a pixel's new class, below which the revision is unsure
    unsure: str = "ignored"  # what becomes of such pixels: "ignored", 255; or "given", they keep the class that they
    # have in the given label: a label network that meets scenes unlike the trusted ones then does less harm (segrt+)
    weight: str = "median"  # w = min(1, D(x, z) / median over trusted of D(x, t)); "raw": w = D(x, z)
    score: str = "discriminator"  # what is read as trust: "discriminator", the paper's; "agreement" of the image
    # network with the revised label (soft minimum of its likelihood); "both", their product; "kept", the mean IoU of
    # the given label with the revised one (segrt+); "confidence", the label network's own, class by class
    power: float = 1.0  # of the weight: above 1 it tells more strongly between samples
    guide: float = 0.0  # weight of the image network's opinion in the revised label, 0..1 (segrt+)


@dataclass(frozen=True)
class FinetuneConfig:
    """S5: the image network learns from trusted labels and the noisy samples' targets (paper, L_wbce)."""

    iterations: int = 4500  # 15 % of the budget
    lr_scale: float = 0.1
    target: str = "revised"  # of noisy samples: "revised"; the controls "given" (as annotated), "unlabelled" (an
    # averaged teacher's confident answers) and "none" (trusted samples alone)
    reweight: bool = True  # weigh the noisy samples by their trust
    trusted_share: float = 0.5  # of each batch
    confidence: float = 0.8  # of the teacher, for "unlabelled" and for consistency; UniMatch uses 0.95 for longer runs
    teacher_decay: float = 0.99
    consistency: float = 0.0  # weight of the teacher's answers on noisy samples beside their revised labels (segrt+)
    smooth_borders: float = 0.0  # share of spatially varying label smoothing in the targets, 0..1 (segrt+)
    flagged: float = 0.0  # how much less a pixel counts that confident learning flags, 0..1 (segrt+)


@dataclass(frozen=True)
class MethodConfig:
    """Everything beyond the first, supervised stage."""

    segment: SegmentConfig = field(default_factory=SegmentConfig)
    dual: DualConfig = field(default_factory=DualConfig)
    correct: CorrectConfig = field(default_factory=CorrectConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)
    revise: ReviseConfig = field(default_factory=ReviseConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)

    @property
    def soft_targets(self) -> bool:
        """Whether S5 learns from the label network's own answers, and starts from a checkpoint that holds it."""
        return self.finetune.target == "revised" and self.revise.target == "soft"


CHOICES = {
    "dual.f_source": ("image", "both"),
    "dual.fuse": ("add", "concat"),
    "dual.h0": ("none", "bottleneck"),
    "dual.up": ("bilinear_first", "block_first", "transposed"),
    "dual.label_input": ("mask", "mask+rgb"),
    "dual.init": ("paper", "he"),
    "discriminator.mask": ("onehot", "per_class4"),
    "discriminator.init": ("torch", "paper", "he"),
    "discriminator.norm": ("batch", "group", "spectral"),
    "discriminator.optimizer": ("sgd", "adam"),
    "correct.source": ("mixed", "predicted", "synthetic"),
    "correct.predictions": ("folds", "snapshot", "final"),
    "adversarial.bce_reduction": ("sum", "mean"),
    "adversarial.anchor": ("given", "corrected"),
    "revise.target": ("hard", "soft"),
    "revise.unsure": ("ignored", "given"),
    "revise.weight": ("median", "raw"),
    "revise.score": ("discriminator", "agreement", "both", "kept", "confidence"),
    "finetune.target": ("revised", "given", "unlabelled", "none"),
}
"""The settings that are one of a few words."""

SHARES = (
    "correct.fold_share", "correct.snapshot_share", "correct.holdout", "adversarial.replay", "revise.guide",
    "revise.min_probability", "finetune.smooth_borders", "finetune.trusted_share", "finetune.confidence",
    "finetune.flagged", "discriminator.real_target",
)  # fmt: skip
"""The settings that lie in 0..1."""


def problems(method: MethodConfig) -> list[str]:
    """What is wrong with the values, each as one line that names the key."""
    found = []
    for key, known in CHOICES.items():
        if _value(method, key) not in known:
            found.append(f"method.{key} must be one of {', '.join(known)}, found {_value(method, key)!r}")
    for key in SHARES:
        share = _value(method, key)
        assert isinstance(share, float)
        if not 0 <= share <= 1:
            found.append(f"method.{key} must be in 0..1, found {share}")
    for stage in ("correct", "discriminator", "adversarial", "finetune"):
        iterations = _value(method, f"{stage}.iterations")
        if not isinstance(iterations, int) or iterations < 1:
            found.append(f"method.{stage}.iterations must be 1 or more, found {iterations}")
    for key, holds, wanted in (
        ("segment.iterations", method.segment.iterations >= 0, "0 or more"),
        ("segment.lr_scale", method.segment.lr_scale > 0, "above 0"),
        ("correct.variants", method.correct.variants >= 1, "1 or more"),
        ("correct.temperature", method.correct.temperature > 0, "above 0"),
        ("correct.lr_scale", method.correct.lr_scale > 0, "above 0"),
        ("discriminator.channels", min(method.discriminator.channels, default=0) >= 1, "one number or more, from 1"),
        ("discriminator.lr_scale", method.discriminator.lr_scale > 0, "above 0"),
        ("discriminator.adam_lr", method.discriminator.adam_lr > 0, "above 0"),
        ("discriminator.mask_noise", method.discriminator.mask_noise >= 0, "0 or more"),
        ("adversarial.lr_scale", method.adversarial.lr_scale > 0, "above 0"),
        ("adversarial.bce_weight", method.adversarial.bce_weight >= 0, "0 or more"),
        ("finetune.lr_scale", method.finetune.lr_scale > 0, "above 0"),
        ("finetune.teacher_decay", 0 < method.finetune.teacher_decay < 1, "between 0 and 1"),
        ("finetune.consistency", method.finetune.consistency >= 0, "0 or more"),
    ):
        if not holds:
            found.append(f"method.{key} must be {wanted}, found {_value(method, key)}")
    if method.dual.scales < 1:
        found.append(f"method.dual.scales must be 1 or more, found {method.dual.scales}")
    if method.revise.target == "soft" and method.finetune.consistency > 0:
        found.append("method.revise.target 'soft' and method.finetune.consistency cannot be combined; choose one")
    if method.discriminator.norm == "spectral" and method.discriminator.init != "torch":
        found.append(
            f"method.discriminator.init {method.discriminator.init!r} has no effect where norm is 'spectral', which "
            "scales the weights itself; set it to 'torch'"
        )
    if method.correct.folds < 2:
        found.append(f"method.correct.folds must be 2 or more, found {method.correct.folds}")
    return found


def _value(method: MethodConfig, key: str) -> object:
    part, name = key.split(".")
    return getattr(getattr(method, part), name)
