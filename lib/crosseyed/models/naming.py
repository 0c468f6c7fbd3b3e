"""Rename the tensors of a checkpoint, whoever wrote it, to the names that an open_clip model uses."""

import re
from collections.abc import Iterable, Mapping

import open_clip
import torch
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict
from torch import Tensor, nn

OPENAI_MARKS = frozenset({"input_resolution", "context_length", "vocab_size"})
"""Numbers that OpenAI's code keeps among the tensors of its models."""

_WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")

_OF_EVA = "visual.blocks.0.attn.q_proj.weight"
"""Name of a tensor that every EVA-02 has in its authors' code."""

_ANCHORS = (
    "logit_scale",
    "visual.conv1.weight",
    "visual.positional_embedding",
    "token_embedding.weight",
    "vision_model.embeddings.class_embedding",
    "visual.trunk.pos_embed",
    _OF_EVA,
)
"""Names that nearly every checkpoint has, by which the prefix of all its names is found."""

LORA = r"lora_[AB]\b|\blora_(down|up)\b"
"""Pattern of the names of LoRA's tensors."""

_OTHERS = {
    LORA: "those of a LoRA adapter; merge it into its model and save that",
    r"(^|\.)head\.(probe|attention)": (
        "those of transformers' SigLIP; load the same model by 'hf-hub:timm/ViT-B-16-SigLIP' or its relatives"
    ),
    r"^image_encoder\.model\.": "those of Apple's MobileCLIP; name the one of its architectures, such as MobileCLIP-S1",
    r"^(visual_encoder|text_encoder|qformer|vision_proj)\.": "those of BLIP or ALBEF, which is not a CLIP of open_clip",
    r"^(patch_embed|blocks\.0|cls_token)": "those of an image model of timm without a text tower; give a CLIP",
    r"^(vision_model|text_model)\.|^encoder\.layers\.\d+\.self_attn|^embeddings\.(class|token)_embedding": (
        "those of one tower of transformers' CLIP; give the checkpoint of the whole model"
    ),
    r"^transformer\.h\.|^model\.layers\.": "those of a language model; give a CLIP",
}
"""What can be told by the names of tensors, but has no place in an open_clip model."""

OF_TRANSFORMERS = "vision_model.embeddings.class_embedding"
"""Name of a tensor that every CLIP of transformers has."""

_FROM_TRANSFORMERS = (
    (r"^vision_model\.embeddings\.class_embedding$", "visual.class_embedding"),
    (r"^vision_model\.embeddings\.patch_embedding\.", "visual.conv1."),
    (r"^vision_model\.embeddings\.position_embedding\.weight$", "visual.positional_embedding"),
    (r"^vision_model\.pre_lay(r|er)norm\.", "visual.ln_pre."),  # the first is their spelling
    (r"^vision_model\.post_layernorm\.", "visual.ln_post."),
    (r"^vision_model\.encoder\.layers\.", "visual.transformer.resblocks."),
    (r"^text_model\.embeddings\.token_embedding\.", "token_embedding."),
    (r"^text_model\.embeddings\.position_embedding\.weight$", "positional_embedding"),
    (r"^text_model\.final_layer_norm\.", "ln_final."),
    (r"^text_model\.encoder\.layers\.", "transformer.resblocks."),
    (r"\.layer_norm([12])\.", r".ln_\1."),
    (r"\.mlp\.fc1\.", ".mlp.c_fc."),
    (r"\.mlp\.fc2\.", ".mlp.c_proj."),
    (r"\.self_attn\.out_proj\.", ".attn.out_proj."),
)

_FROM_EVA = (
    (r"^visual\.", "visual.trunk."),
    (r"\.attn\.([qv])_bias$", r".attn.\1_proj.bias"),
    (r"\.attn\.inner_attn_ln\.", ".attn.norm."),
    (r"\.mlp\.ffn_ln\.", ".mlp.norm."),
    (r"\.mlp\.w1\.", ".mlp.fc1_g."),
    (r"\.mlp\.w2\.", ".mlp.fc1_x."),
    (r"\.mlp\.w3\.", ".mlp.fc2."),
)


def without_wrappers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take off what DataParallel, torch.compile and FSDP write into names, wherever it stands."""
    return {_WRAPPERS.sub("", name): value for name, value in state.items()}


def prefixes_of(state: Mapping[str, Tensor]) -> list[str]:
    """Return what may stand before every name, such as ``"student."``; the first is ``""``."""
    found = {
        name.removesuffix(anchor)
        for name in state
        for anchor in _ANCHORS
        if name.endswith(f".{anchor}") and not name.removesuffix(anchor).endswith(("visual.", "text."))
    }
    return ["", *sorted(found)]


def named_as_in(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a checkpoint to the names that the model uses."""
    if "image_projection" in state:
        state = _from_slip(state)
    if OF_TRANSFORMERS in state:
        state = _from_transformers(state)
    if _OF_EVA in state:
        state = _from_eva(state)
    state = convert_state_dict(model, state)  # Apple's MobileCLIP
    has_text_module = not hasattr(model, "positional_embedding")
    if has_text_module and "positional_embedding" in state:
        state = convert_to_custom_text_state_dict(state)
    elif not has_text_module:
        state = {name.removeprefix("text."): tensor for name, tensor in state.items()}
    for scalar in ("logit_scale", "logit_bias"):  # of shape () or (1,), by the version that wrote the file
        parameter = getattr(model, scalar, None)
        if parameter is not None and scalar in state and state[scalar].numel() == 1:
            state[scalar] = state[scalar].reshape(parameter.shape)
    return _with_tied(model, state)


def told_by_names(names: Iterable[str]) -> str | None:
    """Say whose names those of a checkpoint are, and what to do, if they are not those of a CLIP."""
    for pattern, what in _OTHERS.items():
        if any(re.search(pattern, name) for name in names):
            return what
    return None


def fitting_architectures(state: Mapping[str, Tensor]) -> list[str]:
    """Name the architectures of open_clip with a plain ViT whose sizes are those of a checkpoint's tensors."""
    found = _sizes(state)
    return [name for name in open_clip.list_models() if found and found == _sizes_of(name)]


def _sizes(state: Mapping[str, Tensor]) -> dict[str, object] | None:
    """Return the sizes that tell architectures apart, from tensors named as in open_clip."""
    text = {name.removeprefix("text."): tensor for name, tensor in state.items()}
    try:
        width, _, patch, _ = text["visual.conv1.weight"].shape
        places, _ = text["visual.positional_embedding"].shape
        vocabulary, text_width = text["token_embedding.weight"].shape
        context, _ = text["positional_embedding"].shape
    except (KeyError, ValueError):
        return None
    return {
        "image": (width, patch, places, _layers(text, "visual.transformer.")),
        "text": (text_width, vocabulary, context, _layers(text, "transformer.")),
    }


def _layers(state: Mapping[str, Tensor], tower: str) -> int:
    return sum(
        re.fullmatch(rf"{re.escape(tower)}resblocks\.\d+\.ln_1\.weight", name) is not None for name in state
    )


def _sizes_of(architecture: str) -> dict[str, object] | None:
    config = open_clip.get_model_config(architecture)
    image, text = config["vision_cfg"], config["text_cfg"]
    sizes = [image.get(key) for key in ("width", "patch_size", "image_size", "layers")]
    if "hf_model_name" in text or not all(isinstance(size, int) for size in sizes):
        return None
    width, patch, side, layers = sizes
    text_sizes = (
        text["width"],
        text.get("vocab_size", 49408),
        text.get("context_length", 77),
        text["layers"],
    )
    return {"image": (width, patch, (side // patch) ** 2 + 1, layers), "text": text_sizes}


def _with_tied(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give tensors that the model shares between names to all of them; writers may leave all but one out."""
    owners: dict[tuple, str] = {}
    tied: dict[str, str] = {}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr():  # 0 on the meta device
            owner = owners.setdefault((tensor.data_ptr(), tensor.shape), name)
            if owner != name:
                tied[name] = owner
    for name, owner in tied.items():
        for lacking, kept in ((name, owner), (owner, name)):
            if lacking not in state and kept in state:
                state[lacking] = state[kept]
    return state


def _from_transformers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of transformers' CLIP, which keeps queries, keys and values apart."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        new = name
        for pattern, replacement in _FROM_TRANSFORMERS:
            new = re.sub(pattern, replacement, new)
        if name == "visual_projection.weight":
            new, tensor = "visual.proj", tensor.T
        elif name == "text_projection.weight":
            new, tensor = "text_projection", tensor.T
        part = re.fullmatch(r"(.*)\.self_attn\.q_proj\.(weight|bias)", new)
        if part:
            kept = [state.get(name.replace(".q_proj.", f".{each}_proj.")) for each in "qkv"]
            if any(each is None for each in kept):
                continue  # what it would be part of is missing, too
            new, tensor = f"{part[1]}.attn.in_proj_{part[2]}", torch.cat(kept)
        if not re.search(r"\.self_attn\.[kv]_proj\.", new):
            renamed[new] = tensor
    return renamed


def _from_eva(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of EVA-02-CLIP in its authors' code to those of an open_clip model with timm's EVA-02.

    So are the checkpoints named that were trained with a copy of that code (github.com/baaivision/EVA), such as
    DeCLIP's (Wang et al., arXiv 2505.04410). The tables of the rotary embedding follow from the grid.
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        new = name
        for pattern, replacement in _FROM_EVA if name.startswith("visual.") else ():
            new = re.sub(pattern, replacement, new)
        if not re.search(r"\.rope\.freqs_(cos|sin)$", name):
            renamed[new] = tensor
    return renamed


def _from_slip(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of the SLIP family to those of an open_clip model with timm's ViT as image tower.

    SLIP (Mu et al., arXiv 2112.12750) keeps timm's names in the image tower. A-CLIP and DetailCLIP (Monsefi et al.,
    arXiv 2409.06809) add an averaged teacher, with which their authors evaluate: it is preferred.
    """
    names = {"visual.": "visual.trunk.", "transformer.": "transformer.", "text_projection": "text_projection"}
    projection = "image_projection"
    if "image_projection_e" in state:
        names = {
            "visual_ema.": "visual.trunk.",
            "transformer_e.": "transformer.",
            "text_projection_e": "text_projection",
        }
        projection = "image_projection_e"
    shared = ("token_embedding.", "positional_embedding", "ln_final.", "logit_scale")
    renamed = {name: tensor for name, tensor in state.items() if name.startswith(shared)}
    for old, new in names.items():
        renamed |= {
            new + name.removeprefix(old): tensor for name, tensor in state.items() if name.startswith(old)
        }
    return renamed | {"visual.head.proj.weight": state[projection].T}
