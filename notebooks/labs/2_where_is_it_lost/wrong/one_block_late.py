"""Takes the depth for the block's index and for that of its input: one block too late.

Question: q3
Points: 0
"""


def class_attention(visual, pixels, depth):
    block = visual.transformer.resblocks[min(depth, 5)]
    with torch.no_grad():
        read, attn = block.ln_1(stream(visual, pixels)[depth]), block.attn
        return probabilities(read, attn.in_proj_weight, attn.in_proj_bias, attn.num_heads)[
            :, :, 0
        ]
