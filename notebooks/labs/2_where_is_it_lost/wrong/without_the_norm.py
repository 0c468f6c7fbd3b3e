"""Gives attention the tokens of the stream, before the LayerNorm of the block.

Question: q3
Points: 0
"""


def class_attention(visual, pixels, depth):
    attn = visual.transformer.resblocks[depth - 1].attn
    read = stream(visual, pixels)[depth - 1]
    with torch.no_grad():
        return probabilities(read, attn.in_proj_weight, attn.in_proj_bias, attn.num_heads)[
            :, :, 0
        ]
