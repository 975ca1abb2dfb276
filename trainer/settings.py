"""The settings of data, network, augmentation, loop and machine; those of the method are in method.py.

Each default stands beside its reason.
"""

from __future__ import annotations

from dataclasses import dataclass

from segrt.runtime.placement import Fit

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
LOSSES = ("bce", "ce")
SAMPLES = ("all", "trusted", "truth")
TRUSTED = ("all", "list", "rule", "fraction")

IGNORE_ID = 255
"""The mask value that no loss and no metric counts; also the runtime's UNSEEN."""


VOC_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""PASCAL VOC's 20 + 1, in the order of its masks' values."""


@dataclass(frozen=True)
class DataConfig:
    """Where the pictures lie, what their masks mean, and which labels are trusted."""

    root: str = "data"  # holds one folder per split
    format: str = "folder"  # "folder", "voc", "labelme" or "video": a key of trainer.formats.FORMATS
    train: str = "train"  # a folder in root; for "voc" a list in ImageSets/Segmentation
    val: str = "val"
    val_fraction: float = 0.0  # above 0: there is no split for validation; this share of the training groups becomes it
    classes: tuple[str, ...] = ()  # by mask value, 255 is always "ignore"; empty: VOC's for "voc", else other, object
    images: str = "images"  # for "folder": the folders within a split
    masks: str = "masks"
    labels: tuple[str, ...] = ()  # for "labelme": "label=class", "*=class" for all others, "label=ignore" for 255;
    # empty: the labels are the classes' names
    draw_order: tuple[str, ...] = ()  # for "labelme": classes from below to above where shapes overlap; empty: by id
    cache: str = ""  # folder for drawn masks and frames of videos; empty: .segrt in root
    noisy: str = ""  # folder of other masks by the pictures' names, relative to the training split; empty: none. With
    # a * several annotators' folders: each sample gets one of its masks there, drawn by the seed
    truth_known: bool = True  # whether masks of samples that are not trusted are right, for measuring alone; false:
    # nobody knows what is
    trusted: str = "all"  # "all", "list" (of names), "rule" (the two annotations agree) or "fraction"; see TRUSTED
    trusted_list: str = "trusted.txt"  # one name per line, without suffix, relative to the training split
    trusted_iou: float = 0.95  # the paper's: a re-annotation below it counts as noisy
    trusted_fraction: float = 0.8  # the paper's share of samples that were not annotated anew
    group: str = ""  # regular expression on names; its first group names the subject or video that is never split;
    # empty: every sample for itself, for "video" every clip

    def __post_init__(self) -> None:
        if not self.classes:
            object.__setattr__(self, "classes", VOC_CLASSES if self.format == "voc" else ("other", "object"))


@dataclass(frozen=True)
class InputConfig:
    """What the network will be fed in use; training resizes in the same way."""

    size_hw: tuple[int, int] = (480, 480)  # the paper's
    fit: Fit = Fit.STRETCH  # the whole frame, and no input pixel wasted on padding


@dataclass(frozen=True)
class NetworkConfig:
    """Which segmentation network, how large, and from which weights its encoder starts."""

    name: str = "unet"  # a key of trainer.networks.NETWORKS
    width: int = 64  # channels of the finest decoder map
    depth: int = 4  # decoder scales of the U-Nets, the paper's n; other networks have a fixed depth
    weights: str = ""  # file with encoder weights by layer name; empty: random
    frozen: tuple[str, ...] = ()  # parts that keep their first weights, e.g. "encoder.conv1" or "encoder.fire[23]":
    # edges need no relearning


@dataclass(frozen=True)
class AugmentConfig:
    """How far training pictures are changed. Probabilities are per picture."""

    scale: tuple[float, float] = (
        0.5,
        2.2,
    )  # of the picture as fitted into the input; close-ups of one tooth need the 2.2
    aspect: float = 1.4  # widths are changed by 1/1.4 .. 1.4: frames of any proportions are stretched in use
    rotation_deg: float = 30.0  # a scanner is held at any angle
    quarter_turn: float = 0.1  # and sometimes upright
    flip: float = 0.5
    flip_vertical: float = 0.25  # upper and lower jaw look like one another upside down
    perspective: float = 0.12  # shift of the corners, as a share of the crop
    jitter: tuple[float, float, float, float] = (0.3, 0.35, 0.45, 0.06)  # brightness, contrast, saturation, hue
    jitter_probability: float = 0.7
    gamma: tuple[float, float] = (0.6, 1.6)  # exposure
    gamma_probability: float = 0.4
    grey: float = 0.03  # colour alone must not decide
    blur: float = 0.15  # out of focus
    motion: float = 0.2  # a moving hand
    noise: float = 0.25  # sensor noise of 0 .. 0.06 of full scale
    vignette: float = 0.3  # a scanner's own light fades towards the corners
    specular: float = 0.25  # wet surfaces glare
    clutter: float = 0.0  # objects of class 0 before the picture; for data whose class 0 is "the rest"
    scenes: float = 0.0  # pictures replaced by a drawn scene of class 0; as above


@dataclass(frozen=True)
class SupervisedConfig:
    """The supervised stages (pictures and masks in, a segmenter out), and the loop that every later stage shares."""

    iterations: int = 15000  # with batch 20, about 50 epochs of the paper's dental set
    batch: int = 20  # the paper's for dental
    crop_hw: tuple[int, int] = (480, 480)  # pixels of the fitted input; smaller where memory or cores are few
    samples: str = "all"  # "all" by their given labels (S0); "trusted" alone (S1); "truth": the noisy by their truth,
    # the upper bound that only a measurement can have
    loss: str = "bce"  # the paper's binary cross entropy, one class against the rest; or "ce", softmax
    balance: float = 0.0  # power of the class weights median / frequency of the trusted labels: 0 none, as the paper;
    # 0.5 to 1 where some classes are rare, as street posts are: else they are learnt last and revised away
    optimizer: str = "sgd"  # momentum 0.9, the paper's; or "adamw"
    lr: float = 0.007  # the paper's for SGD; AdamW's usual is 1e-3
    encoder_lr: float = 1.0  # times lr, where the encoder starts from given weights
    weight_decay: float = 5e-4  # the paper's
    warmup: int = 50  # iterations of linearly growing lr: batch statistics of new layers settle first
    power: float = 0.9  # of the poly schedule: lr * (1 - i / iterations) ** power
    clip: float = 5.0  # largest gradient norm; 0: no limit
    calibrate: bool = False  # shift each class's logits for whole pictures at the end (trainer/calibrate.py)
    ema: float = 0.0  # decay of the averaged weights that are evaluated and exported; 0: none, as in the paper
    checkpoint_every: int = 100
    evaluate_every: int = 500  # on the validation split, and in the end; 0: never
    pictures_every: int = 500


@dataclass(frozen=True)
class DistillConfig:
    """Stage "supervised" with a teacher: a larger network's answers to the same crops, beside the labels."""

    teacher: str = ""  # its checkpoint; empty: none
    labels: float = 1.0  # weight of the labels' own loss
    pixel: float = 1.0  # of the teacher's probabilities, pixel by pixel
    pixel_temperature: float = 2.0  # soft enough to tell where the teacher is in doubt
    channel: float = 0.0  # of where each class is, channel by channel; 3 with a temperature of 4 is the authors'
    channel_temperature: float = 4.0


@dataclass(frozen=True)
class MachineConfig:
    """What the run may use of this machine. Changing it changes speed, and results by rounding alone."""

    device: str = "auto"  # "cpu", "cuda", "cuda:1", ...
    precision: str = "auto"  # "bf16" where the hardware computes it, else "fp32": emulated bf16 is 8 times slower;
    # "fp16" on GPUs without it
    threads: int = 0  # of torch in the training process; 0: torch's choice
    workers: int = 1  # loader processes; 0: load in the training process
    cache_mb: int = 0  # decoded pictures kept in memory, per process that loads; 0: decode anew each time
    shares: int = 0  # parts of a batch with random draws of their own; 0: one per process. One process with 4 sees the
    # batches that four would


@dataclass(frozen=True)
class ExportConfig:
    """What exported graphs must reach on golden frames, or the export is refused. Shares of pixels, and of mean IoU."""

    agreement_fp32: float = 0.9995  # with the checkpoint's masks: only near-ties may fall otherwise
    agreement_fp16: float = 0.998
    agreement_int8: float = 0.99
    miou_drop: float = 0.005  # against the truth, where golden frames have one: half a point
