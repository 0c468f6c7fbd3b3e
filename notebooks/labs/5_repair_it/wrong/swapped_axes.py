"""A place is (x, y), as in plots: rows and columns are exchanged.

Question: q1
Points: 0
"""


def guess_place(image):
    pixels = image.astype(float)
    sides = [pixels[:4], pixels[-4:], pixels[:, :4], pixels[:, -4:]]
    background = np.median(np.concatenate([side.reshape(-1, 3) for side in sides]), axis=0)
    different = gaussian_filter(np.abs(pixels - background).sum(axis=2), 0.08 * len(pixels))
    y, x = np.unravel_index(different.argmax(), different.shape)
    return (x + 0.5) / image.shape[1], (y + 0.5) / image.shape[0]
