"""The view is also brightened a little, whatever the strength: at zero it is not the plain model.

Question: q3
Points: 1
"""


@dataclass(frozen=True)
class Recentered(Mitigation):
    label: ClassVar[str] = "recentered"
    neutral_at: ClassVar = {"strength": 0}
    strength: float = parameter(1.0, "part of the way to the middle", low=0, high=1)

    def views(self, image, location):
        moved = move_to_middle(image, guess_place(image), self.strength)
        return [np.clip(moved.astype(float) * 1.1, 0, 255).astype(np.uint8)]
