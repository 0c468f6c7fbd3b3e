"""The object is where the image is brightest.

Question: q1
Points: 0
"""


def guess_place(image):
    bright = gaussian_filter(image.astype(float).sum(axis=2), 0.08 * len(image))
    y, x = np.unravel_index(bright.argmax(), bright.shape)
    return (y + 0.5) / image.shape[0], (x + 0.5) / image.shape[1]
