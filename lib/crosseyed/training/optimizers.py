"""The optimizers of a training, and whether a kept state fits them."""

from collections.abc import Sequence
from typing import Any

import torch

from crosseyed.training.recipes import Recipe, StudioRecipe

_MOMENTS = {torch.optim.AdamW: {"step", "exp_avg", "exp_avg_sq"}, torch.optim.Muon: {"momentum_buffer"}}


def make_optimizers(model: torch.nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Make the optimizers of a model: AdamW, and of the matrices in blocks Muon, if the recipe says so.

    Parameters
    ----------
    model : torch.nn.Module
    recipe : Recipe
        Its learning rate and weight decay are used, which Muon scales so that its steps are as large as AdamW's.

    Returns
    -------
    list of torch.optim.Optimizer
        AdamW first.
    """
    with_muon = isinstance(recipe, StudioRecipe) and recipe.optimizer == "muon"
    matrices, of_blocks, vectors = [], [], []
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            vectors.append(parameter)
        elif with_muon and "resblocks" in name:
            of_blocks.append(parameter)
        else:
            matrices.append(parameter)
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98))
    ]
    if with_muon:
        scaled = {"weight_decay": recipe.weight_decay, "adjust_lr_fn": "match_rms_adamw"}
        optimizers.append(torch.optim.Muon(of_blocks, lr=recipe.learning_rate, **scaled))
    return optimizers


def fits(state: object, optimizer: torch.optim.Optimizer, steps: int) -> bool:
    """Return whether a state has every number of an optimizer after some steps; torch would convert and leave out."""
    if not isinstance(state, dict):
        return False
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    groups, moments = state.get("param_groups"), state.get("state")
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        return False
    if _without_rate(groups) != _without_rate(optimizer.state_dict()["param_groups"]):
        return False
    if not isinstance(moments, dict) or moments.keys() != set(range(len(parameters))):
        return False
    names = _MOMENTS[type(optimizer)]
    return all(
        isinstance(moments[index], dict)
        and moments[index].keys() == names
        and all(alike(moments[index][name], parameter) for name in names - {"step"})
        and ("step" not in names or _counts(moments[index]["step"], steps))
        for index, parameter in enumerate(parameters)
    )


def alike(given: object, expected: torch.Tensor) -> bool:
    """Return whether something is a tensor of finite numbers of the same shape and kind as another."""
    return (
        isinstance(given, torch.Tensor)
        and (given.shape, given.dtype, given.layout) == (expected.shape, expected.dtype, expected.layout)
        and bool(given.isfinite().all())
    )


def _counts(given: object, steps: int) -> bool:
    return alike(given, torch.tensor(0.0)) and bool(given == steps)


def _without_rate(groups: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in group.items() if name != "lr"} for group in groups]
