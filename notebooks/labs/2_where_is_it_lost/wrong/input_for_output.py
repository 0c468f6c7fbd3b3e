"""Reads what enters each block for what leaves it: every depth from 1 on is one block too early.

Question: q1
Points: 1
"""


def stream(visual, pixels):
    depths = []

    def keep(module, inputs, output):
        if not depths:
            depths.append(inputs[0])
        depths.append(inputs[0])

    handles = [block.register_forward_hook(keep) for block in visual.transformer.resblocks]
    with torch.no_grad():
        visual(pixels)
    for handle in handles:
        handle.remove()
    return torch.stack(depths)
