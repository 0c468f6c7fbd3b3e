"""Read a model's `open_clip_config.json`: only what open_clip knows, each value of its type and in its range."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import timm
from pydantic import AfterValidator, Field, model_validator

from crosseyed.documents import read_json
from crosseyed.errors import InputError, shorten
from crosseyed.models.remote_code import refuse_remote_code
from crosseyed.validation import Checked, validated

CONFIG_NAME = "open_clip_config.json"

_MOST_PARAMETERS = 50e9  # the largest CLIP that is published has 18 billion


def _known_to_timm(name: str) -> str:
    # timm takes "hf-hub:..." and "local-dir:..." too, and whatever arguments are found there
    if not re.fullmatch(r"\w+(\.\w+)?", name) or not timm.is_model(name.partition(".")[0]):
        raise ValueError("it should be an architecture that timm.list_models() names")
    return name


_Size = Annotated[int, Field(ge=1, le=16384)]
_Layers = Annotated[int, Field(ge=1, le=256)]
_Side = Annotated[int, Field(ge=1, le=4096)]
_Ratio = Annotated[float, Field(gt=0, le=64)]
_Share = Annotated[float, Field(ge=0, lt=1)]
_Number = Annotated[float, Field(ge=-1000, le=1000, allow_inf_nan=False)]
_Vocabulary = Annotated[int, Field(ge=1, le=4_000_000)]
_Token = Annotated[int, Field(ge=0, le=4_000_000)]
_Colour = Annotated[float, Field(ge=-10, le=10)]
# never a path, for a name of the Hub may be a folder, too
_Repository = Annotated[str, Field(pattern=r"^\w[\w.-]{0,95}(/\w[\w.-]{0,95})?$")]
_Several = dict[str, Any]


class _Normalization(Checked):
    eps: Annotated[float, Field(gt=0, lt=1)] = 1e-5


class _Activation(Checked):
    approximate: Literal["none", "tanh"] = "none"


class _Tokenizer(Checked):
    clean: Literal["lower", "whitespace", "canonicalize"] = "lower"
    strip_sep_token: bool = False


class _Transformer(Checked):
    width: _Size = 512
    mlp_ratio: _Ratio = 4.0
    ls_init_value: Annotated[float, Field(gt=0, le=10)] | None = None
    final_ln_after_pool: bool = False
    output_tokens: bool = False
    act_kwargs: _Several | None = None
    norm_kwargs: _Several | None = None
    block_type: Literal["default", "custom"] | None = None
    qk_norm: bool = False
    scaled_cosine_attn: bool = False
    scale_heads: bool = False
    scale_attn_inner: bool = False
    scale_attn: bool = False
    scale_fc: bool = False


class _Vision(_Transformer):
    width: _Size = 768
    layers: _Layers | Annotated[list[_Layers], Field(min_length=4, max_length=4)] = 12
    head_width: _Size = 64
    patch_size: _Side | None = 16
    image_size: _Side | Annotated[list[_Side], Field(min_length=2, max_length=2)] = 224
    patch_dropout: _Share = 0.0
    attentional_pool: bool = False
    attn_pooler_queries: _Size = 256
    attn_pooler_heads: _Size = 8
    no_ln_pre: bool = False
    pos_embed_type: Literal["learnable", "sin_cos_2d"] = "learnable"
    pool_type: Literal["tok", "avg", "none"] = "tok"
    timm_model_name: Annotated[str, AfterValidator(_known_to_timm)] | None = None
    timm_model_pretrained: bool = False
    timm_pool: Annotated[str, Field(pattern="^[a-z_]{0,16}$")] = "avg"
    timm_proj: Literal["", "linear", "mlp", "none"] | None = "linear"
    timm_proj_bias: bool = False
    timm_drop: _Share = 0.0
    timm_drop_path: _Share | None = None

    @model_validator(mode="after")
    def _fits(self) -> "_Vision":
        if self.timm_model_name or isinstance(self.layers, list):
            return self
        side = min(self.image_size) if isinstance(self.image_size, list) else self.image_size
        if self.patch_size is None or self.patch_size > side:
            raise ValueError(f"patch_size should be from 1 to image_size ({side})")
        if self.width % self.head_width:
            raise ValueError(
                f"width ({self.width}) should be a multiple of head_width ({self.head_width}; 64 if not given)"
            )
        return self


class _Text(_Transformer):
    context_length: Annotated[int, Field(ge=3, le=8192)] = 77
    vocab_size: _Vocabulary = 49408
    hf_tokenizer_name: _Repository | Literal[""] | None = None
    tokenizer_mode: Literal["clips"] | None = None
    tokenizer_kwargs: _Several | None = None
    heads: _Size = 8
    layers: _Layers = 12
    embed_cls: bool = False
    pad_id: _Token = 0
    eos_id: _Token = 2
    no_causal_mask: bool = False
    pool_type: Literal["first", "last", "argmax", "eos", "none"] = "argmax"
    proj_bias: bool = False
    proj_type: Literal["linear", "none"] | None = "linear"
    hf_model_name: _Repository | None = None
    hf_model_pretrained: bool = True
    hf_proj_type: Literal["linear", "mlp"] | None = "mlp"
    hf_pooler_type: (
        Literal["mean_pooler", "max_pooler", "cls_pooler", "cls_last_hidden_state_pooler"] | None
    ) = "mean_pooler"

    @model_validator(mode="after")
    def _fits(self) -> "_Text":
        if not self.hf_model_name and self.width % self.heads:
            raise ValueError(
                f"width ({self.width}) should be a multiple of heads ({self.heads}; 8 if not given)"
            )
        return self


class _Multimodal(_Text):
    dim_head: _Size = 64
    n_queries: _Size = 256
    attn_pooler_heads: _Size = 8


class _Model(Checked):
    embed_dim: _Size
    vision_cfg: _Several
    text_cfg: _Several
    multimodal_cfg: _Several | None = None
    quick_gelu: bool = False
    custom_text: bool = False
    init_logit_scale: Annotated[float, Field(ge=-20, le=20)] | None = None  # a logarithm
    init_logit_bias: _Number | None = None
    nonscalar_logit_scale: bool = False
    output_dict: bool = False
    pad_id: _Token = 0


class _Preprocess(Checked):
    size: _Side | list[_Side] | None = None
    mode: Literal["RGB"] | None = None
    mean: Annotated[list[_Colour], Field(min_length=3, max_length=3)] | None = None
    std: Annotated[list[Annotated[float, Field(gt=0, le=10)]], Field(min_length=3, max_length=3)] | None = (
        None
    )
    interpolation: Literal["bicubic", "bilinear", "random"] | None = None
    resize_mode: Literal["shortest", "longest", "squash"] | None = None
    fill_color: Annotated[int, Field(ge=0, le=255)] | None = None


class _Whole(Checked):
    model_cfg: _Several
    preprocess_cfg: _Several | None = None


@dataclass(frozen=True)
class Configuration:
    """What `open_clip_config.json` says: open_clip's own words, checked."""

    model: dict[str, Any]
    """`embed_dim`, `vision_cfg`, `text_cfg` and what else makes the model."""
    preprocess: dict[str, Any]
    """How images become the model's input."""


def read_configuration(path: Path, name: str) -> Configuration:
    """Read a configuration of open_clip.

    Parameters
    ----------
    path : path
        The file.
    name : str
        The model, for the messages.

    Raises
    ------
    InputError
        It is not JSON, asks to run code, has a key that open_clip does not know, or a value of another type or range.
    """
    content = read_json(path, "a configuration of open_clip", largest=2**20)
    if not isinstance(content, dict):
        raise InputError(f"{str(path)!r} is not a configuration of open_clip: expected a JSON object.")
    refuse_remote_code(content, name)
    of = f"of {str(path)!r}"
    validated(_Whole, content, f"the configuration of open_clip {str(path)!r}")
    model, preprocess = content["model_cfg"], content.get("preprocess_cfg") or {}
    validated(_Model, model, f"the model_cfg {of}")
    validated(_Preprocess, preprocess, f"the preprocess_cfg {of}")
    _check_tower(_Vision, model["vision_cfg"], f"the vision_cfg {of}")
    _check_tower(_Text, model["text_cfg"], f"the text_cfg {of}")
    if model.get("multimodal_cfg"):
        _check_tower(_Multimodal, model["multimodal_cfg"], f"the multimodal_cfg {of}")
    _check_size(model, str(path))
    if preprocess.get("size") is not None and _pair(preprocess["size"]) != _pair(_image_size(model)):
        raise InputError(
            f"size of the preprocess_cfg {of} is {shorten(preprocess['size'])}; it should be that of the model: "
            f"image_size {_image_size(model)} of the vision_cfg."
        )
    return Configuration({key: value for key, value in model.items() if value is not None}, preprocess)


def _check_tower(tower: type[_Transformer], given: Mapping[str, Any], what: str) -> None:
    checked = validated(tower, given, what)
    validated(_Normalization, checked.norm_kwargs or {}, f"the norm_kwargs in {what}")
    validated(_Activation, checked.act_kwargs or {}, f"the act_kwargs in {what}")
    if isinstance(checked, _Text):
        validated(_Tokenizer, checked.tokenizer_kwargs or {}, f"the tokenizer_kwargs in {what}")


def _image_size(model: Mapping[str, Any]) -> int | list[int]:
    return _Vision(**model["vision_cfg"]).image_size


def _pair(size: int | list[int]) -> list[int]:
    return [size, size] if isinstance(size, int) else size


def _check_size(model: Mapping[str, Any], path: str) -> None:
    """Refuse what no machine could hold, before it is made."""
    image, text = _Vision(**model["vision_cfg"]), _Text(**model["text_cfg"])
    parameters = text.vocab_size * text.width
    for tower in (image, text):
        if isinstance(tower.layers, int):
            parameters += tower.layers * tower.width**2 * (4 + 2 * tower.mlp_ratio)
    if parameters > _MOST_PARAMETERS:
        raise InputError(
            f"The model of {path!r} would have {parameters / 1e9:,.0f} billion parameters; check width and layers."
        )
