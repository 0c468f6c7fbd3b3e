"""Load a model by name, file or folder."""

import os

import numpy as np
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2

from crosseyed.editions import PRECISIONS
from crosseyed.errors import CrosseyedError, InputError, check_choice, shorten
from crosseyed.models.clip import RESIZES, ClipModel
from crosseyed.models.sources import build
from crosseyed.models.towers.description import describe_tower
from crosseyed.progress import count_batch
from crosseyed.validation import Checked, Seed, validated


class _Given(Checked):
    """What a caller of `load` gives."""

    model: str
    pretrained: str | None
    checkpoint: str | os.PathLike | None
    device: str
    precision: str
    resize: str | None
    seed: Seed
    untrained: bool


def load(
    model: str,
    pretrained: str | None = None,
    *,
    checkpoint: str | os.PathLike | None = None,
    device: str = "auto",
    precision: str = PRECISIONS[0],
    resize: str | None = None,
    seed: int = 0,
    untrained: bool = False,
) -> ClipModel:
    """Load a CLIP for evaluation.

    Parameters
    ----------
    model : str
        One of

        - a PocketCLIP, ``"pocketclip-centered"`` or ``"pocketclip-uniform"``;
        - an open_clip architecture, e.g. ``"ViT-B-32"``, with `pretrained` or `checkpoint`;
        - ``"hf-hub:organization/repository"`` or ``"local-dir:folder"`` with open_clip's files;
        - ``"NegCLIP"``, ``"DetailCLIP"``, ``"SuperCLIP"`` or ``"DeCLIP"``, with the file that its authors publish
          in ``data/checkpoints`` or as `checkpoint` (`crosseyed.models.sources.NAMED`).
    pretrained : str, optional
        open_clip's tag of the published weights, e.g. ``"openai"``; the activation function that goes with them
        (QuickGELU for OpenAI's) is set. `RANDOM` (``"random"``): random weights, for any model.
    checkpoint : path, optional
        File with the weights, safetensors or written by torch.save; an index of several; or a folder with either. A tag
        in `pretrained` then says which published model's activation function and preprocessing they need: a file
        fine-tuned from OpenAI's weights is ``load("ViT-B-32", "openai", checkpoint="mine.pt")``. Without a tag the file
        is taken to go with the architecture's own; where published weights differ in this, a warning says so. The
        book's page on checkpoints lists what is understood.
    device : str
        As for `choose_device`.
    precision : {"fp32", "fp16", "bf16"}
        Type of weights and activations.
    resize : {"crop", "squash", "letterbox"}, optional
        How an image is made square (see `RESIZES`); by default as the model was meant to be used, mostly ``"crop"``.
    seed : int
        Seed of the random weights. The global random state is left as it was.
    untrained : bool
        Random weights in the place of those that the other arguments name, with the same architecture, activation
        function and preprocessing: what the model is before it has learned anything.

    Returns
    -------
    ClipModel
        In evaluation mode, parameters without gradients.

    Raises
    ------
    InputError
        An unknown or contradictory argument; the message offers the valid choices. Or the model, tried once, does not
        tell two images or two captions apart.
    DownloadError
        Weights are neither in the local cache nor available from the network.
    CheckpointError
        A checkpoint is damaged, unsafe or of another architecture.
    """
    given = {"model": model, "pretrained": pretrained, "checkpoint": checkpoint, "device": device}
    given |= {"precision": precision, "resize": resize, "seed": seed, "untrained": untrained}
    validated(_Given, given, "the call of load")
    chosen_device = choose_device(device)
    check_choice("precision", precision, PRECISIONS)
    if resize is not None:
        check_choice("resize", resize, RESIZES)
    built = build(
        model,
        pretrained,
        checkpoint,
        seed=seed,
        untrained=untrained,
        resize_mode=RESIZES[resize] if resize else None,
        precision=precision,
        device=chosen_device,
    )
    clip = built.clip
    preprocess = PreprocessCfg(**clip.visual.preprocess_cfg)
    loaded = ClipModel(
        name=built.name,
        model=built.model,
        pretrained=built.pretrained,
        clip=clip.eval().requires_grad_(False),
        preprocess=image_transform_v2(preprocess, is_train=False),
        tokenizer=built.tokenizer,
        tower=describe_tower(clip.visual, built.config),
        device=chosen_device,
        precision=precision,
        resize=next(name for name, mode in RESIZES.items() if mode == preprocess.resize_mode),
    )
    _try(loaded)
    clip.visual.register_forward_hook(count_batch)
    return loaded


def _try(model: ClipModel) -> None:
    """Encode two images and two captions, so that a model that cannot tell them apart measures nothing."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    try:
        made = {
            "images": model.encode_images([noise, np.zeros_like(noise)], progress=False),
            # to a model that knows none of these words they differ, too
            "captions": model.encode_texts(["a dog", "a photo of a car"]),
        }
    except torch.OutOfMemoryError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, CrosseyedError):
            raise
        reason = shorten(" ".join(str(error).split()) or type(error).__name__, 160)
        raise InputError(
            f"{model.name} computes no embeddings in {model.precision} on {model.device.type} ({reason}): check its "
            "configuration, or give another precision or device."
        ) from error
    for what, rows in made.items():
        if (rows[0] == rows[1]).all():
            raise InputError(
                f"{model.name} gives different {what} the same embedding: its configuration, tokenizer and weights do "
                "not belong together, or the weights are not those of a finished training."
            )


def choose_device(name: str) -> torch.device:
    """Return a device: ``"auto"`` (CUDA, else Apple's MPS, else CPU), ``"cpu"``, ``"cuda:1"`` or ``"mps"``.

    Raises
    ------
    InputError
        There is no such device here.
    """
    present = [kind for kind in ("cuda", "mps") if getattr(torch, kind).is_available()] + ["cpu"]
    if name == "auto":
        return torch.device(present[0])
    try:
        device = torch.device(name)
        # a number is one of CUDA; meta computes nothing
        if not isinstance(name, str) or device.type == "meta":
            raise ValueError
        torch.zeros(1, device=device).item()  # only use shows whether "cuda:7" is there
    except Exception as error:  # each kind of device is missing in its own way
        raise InputError(
            f"The device {shorten(name)} is not available on this machine; available: auto, {', '.join(present)}."
        ) from error
    return device
