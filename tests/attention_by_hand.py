"""Changed attention computed by hand, token by token, for every kind of tower."""

import numpy as np
import torch
from small_models import model_input

from crosseyed.data.scenes import eccentricity
from crosseyed.mitigations.redistribution import RadialAttention, UniformMix

TEXTS = ["a dog", "a cat", "a key"]

PLACES = [eccentricity((col + 0.5) / 4, (row + 0.5) / 4) for row in range(4) for col in range(4)]

BLOCKS = ["class token", "layer scale", "class token, then norm", "average", "average, then norm"]

POOLERS = [
    "pooler",
    "pooler, returning tokens too",
    "pooler, average of queries",
    "pooler, as wide as the tokens",
]


def embedded(model):
    with torch.no_grad():
        return model.clip.encode_image(model_input(model))


def under(mitigation, model):
    with mitigation.applied(model):
        return embedded(model)


def radial_by_hand(row, tokens, places=PLACES):
    weighted = [share * np.exp(1.5 * place) for share, place in zip(row[1:], places, strict=True)]
    return [row[0]] + [sum(row[1:]) * each / sum(weighted) for each in weighted]


def mix_by_hand(row, tokens):
    return [row[0]] + [0.7 * share + 0.3 * sum(row[1:]) / len(row[1:]) for share in row[1:]]


CHANGES = {
    "radial": (RadialAttention(1.5), radial_by_hand),
    "mix": (UniformMix(0.3), mix_by_hand),
}


def attend_by_hand(reading, read, weights, biases, heads, tokens, change, rows, chosen=None):
    """One image's attention before its output, head by head, in double precision.

    `rows` of the reading tokens are changed, in the `chosen` heads; a change takes a row and the tokens read.
    """
    query, key, value = (
        (part.double() @ weight.double().T + bias.double()).chunk(heads, 1)
        for part, weight, bias in zip((reading, read, read), weights, biases, strict=True)
    )
    gathered = []
    for head in range(heads):
        weight = (query[head] @ key[head].T / query[head].shape[1] ** 0.5).exp()
        weight = weight / weight.sum(1, keepdim=True)
        for row in rows if chosen is None or head in chosen else ():
            weight[row] = torch.tensor(change(weight[row].tolist(), tokens))
        gathered.append(weight @ value[head])
    return torch.cat(gathered, 1)


def transformer_by_hand(model, change, layers, chosen=None):
    """The embeddings with the attention of some blocks changed, for the rows that pooling needs."""
    visual = model.clip.visual
    with torch.no_grad():
        tokens = visual._embeds(model_input(model))
        for layer, block in enumerate(visual.transformer.resblocks, 1):
            if layer not in layers:
                tokens = block(tokens)
                continue
            normed, attn = block.ln_1(tokens), block.attn
            weights, biases = attn.in_proj_weight.chunk(3), attn.in_proj_bias.chunk(3)
            rows = {0} if visual.pool_type == "tok" and visual.attn_pool is None else set(range(17))
            gathered = torch.stack(
                [
                    attend_by_hand(x, x, weights, biases, attn.num_heads, entering, change, rows, chosen)
                    for x, entering in zip(normed, tokens, strict=True)
                ]
            )
            tokens = tokens + block.ls_1(attn.out_proj(gathered.float()))
            tokens = tokens + block.ls_2(block.mlp(block.ln_2(tokens)))
        return visual._pool(tokens)[0] @ visual.proj


def pooler_by_hand(model, change):
    visual, pooler = model.clip.visual, model.clip.visual.attn_pool
    attn = pooler.attn
    weights = (attn.q_proj_weight, attn.k_proj_weight, attn.v_proj_weight)
    if attn.in_proj_weight is not None:
        weights = attn.in_proj_weight.chunk(3)
    with torch.no_grad():
        tokens = visual.transformer(visual._embeds(model_input(model)))
        queries = pooler.ln_q(pooler.query)
        gathered = torch.stack(
            [
                attend_by_hand(
                    queries, read, weights, attn.in_proj_bias.chunk(3), 4, entering, change, set(range(5))
                )
                for read, entering in zip(pooler.ln_k(tokens), tokens, strict=True)
            ]
        )
        normed = visual.ln_post(attn.out_proj(gathered.float()))
        return visual._global_pool(normed)[0] @ visual.proj


def resnet_by_hand(model, change):
    visual, pool = model.clip.visual, model.clip.visual.attnpool
    parts = (pool.q_proj, pool.k_proj, pool.v_proj)
    with torch.no_grad():
        maps = visual.forward_intermediates(model_input(model), indices=[4])["image_intermediates"][0]
        answers = []
        for cells in maps.flatten(2).mT:
            tokens = torch.cat([cells.mean(0, keepdim=True), cells]) + pool.positional_embedding
            weights, biases = [part.weight for part in parts], [part.bias for part in parts]
            gathered = attend_by_hand(
                tokens[:1], tokens, weights, biases, pool.num_heads, tokens, change, {0}
            )
            answers.append(pool.c_proj(gathered.float()))
        return torch.cat(answers)
