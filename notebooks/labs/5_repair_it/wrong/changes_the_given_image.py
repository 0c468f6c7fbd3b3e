"""The image is shifted in place, so the caller's image changes too.

Question: q2
Points: 1
q7: 0
"""


def move_to_middle(image, place, strength):
    y, x = place
    down, right = strength * (0.5 - y) * image.shape[0], strength * (0.5 - x) * image.shape[1]
    image[:] = np.roll(image, (round(down), round(right)), axis=(0, 1))
    return image
