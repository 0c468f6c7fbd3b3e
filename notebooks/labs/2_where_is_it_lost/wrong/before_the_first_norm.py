"""Takes for depth 0 the tokens before the norm in front of the blocks, which is not what enters the first block.

Question: q1
Points: 1
"""


def stream(visual, pixels):
    depths = []

    def keep(module, inputs, output):
        depths.append(output)

    def keep_input(module, inputs, output):
        depths.append(inputs[0])

    handles = [visual.ln_pre.register_forward_hook(keep_input)]
    handles += [block.register_forward_hook(keep) for block in visual.transformer.resblocks]
    with torch.no_grad():
        visual(pixels)
    for handle in handles:
        handle.remove()
    return torch.stack(depths)
