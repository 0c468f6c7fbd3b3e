"""Let tokens attend to those like themselves: what SCLIP and CLIP Surgery do to frozen towers.

Both read the tokens of a tower one by one, for maps and segmentation. What a block's attention would write if its
queries, keys or values served as queries and keys both is computed from the block's own input.
"""

from dataclasses import replace
from typing import Literal

from torch import Tensor

from crosseyed.models.towers.base import AttentionWeights, Calls, TowerAdapter


def alike(
    weights: AttentionWeights, part: Literal["query", "key", "value"], spatial: slice, read: Tensor
) -> Tensor:
    """Return how spatial tokens attend if one part of an attention serves as both queries and keys.

    Parameters
    ----------
    weights : AttentionWeights
        A block's attention.
    part : {"query", "key", "value"}
        The part p, of head_width d: probabilities are softmax(p pᵀ / √d).
    spatial : slice
        Which of the tokens are spatial.
    read : torch.Tensor, shape (batch, tokens, width)
        What the attention reads.

    Returns
    -------
    torch.Tensor, shape (batch, heads, spatial tokens, tokens)
    """
    matrix, bias = getattr(weights, part), getattr(weights, f"{part}_bias")
    both = replace(weights.at(spatial), query=matrix, key=matrix, query_bias=bias, key_bias=bias)
    return both.rows(read[:, spatial], read)


def surgery_blocks(adapter: TowerAdapter) -> tuple[int, ...]:
    """Return the depths that the blocks with two paths lead to, ascending.

    The authors take the last six of any transformer. Here it is half of the blocks if there are fewer than twelve.
    """
    return adapter.blocks[-min(6, max(1, len(adapter.blocks) // 2)) :]


def dual_path(adapter: TowerAdapter, calls: Calls) -> Tensor:
    """Return the spatial tokens of CLIP Surgery's second path, (batch, rows × columns, width), float32.

    CLIP Surgery (Li et al. 2023, arXiv 2304.05653), after the authors' code
    (https://github.com/xmed-lab/CLIP_Surgery, ``clip/clip_surgery_model.py``). From a block on the path starts with
    the tokens x that enter it, and each block adds what its attention writes with values as queries and keys, read from
    the *first* path, which is the tower itself; the MLPs are left out::

        x ← x + Σ_h softmax(v_h v_hᵀ / √d) v_h @ output[h] + output_bias

    Parameters
    ----------
    adapter : TowerAdapter
        Of a tower with blocks.
    calls : mapping
        Of its modules (`crosseyed.internals.trace.hooked`).
    """
    spatial = slice(adapter.prefix, None)
    blocks = surgery_blocks(adapter)
    tokens = adapter.tokens(calls, blocks[0] - 1)[:, spatial].float()
    for layer in blocks:
        weights, read = adapter.attention(layer), adapter.attended(calls, layer).float()
        tokens = tokens + weights.at(spatial).write(alike(weights, "value", spatial, read), read)
    return tokens
