"""Never removes the hooks: every later pass runs them again, and keeps its tokens in memory.

Question: q1
Points: 2
"""


def stream(visual, pixels):
    depths = []

    def keep(module, inputs, output):
        if not depths:
            depths.append(inputs[0])
        depths.append(output)

    for block in visual.transformer.resblocks:
        block.register_forward_hook(keep)
    with torch.no_grad():
        visual(pixels)
    return torch.stack(depths)
