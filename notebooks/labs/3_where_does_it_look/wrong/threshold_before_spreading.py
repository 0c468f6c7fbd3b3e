"""Applies the threshold to the patches and spreads what it shows, which gives other edges than those of the map.

Question: q5
Points: 0
"""


def overlap(patches, mask):
    shown = (patches - patches.min()) / (patches.max() - patches.min()) >= 0.5
    shown = np.kron(shown, np.ones(np.array(mask.shape) // shown.shape)) > 0.5
    return (shown & mask).sum() / (shown | mask).sum()
