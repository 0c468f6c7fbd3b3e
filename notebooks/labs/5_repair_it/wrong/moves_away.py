"""The shift has the wrong sign: the object goes away from the middle.

Question: q2
Points: 1
"""


def move_to_middle(image, place, strength):
    y, x = place
    shift = strength * (y - 0.5) * image.shape[0], strength * (x - 0.5) * image.shape[1]
    return np.roll(image, (round(shift[0]), round(shift[1])), axis=(0, 1))
