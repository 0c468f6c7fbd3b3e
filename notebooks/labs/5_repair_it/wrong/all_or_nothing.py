"""The strength is only asked whether it is zero; any other moves the object all the way.

Question: q3
Points: 2
"""


@dataclass(frozen=True)
class Recentered(Mitigation):
    label: ClassVar[str] = "recentered"
    neutral_at: ClassVar = {"strength": 0}
    strength: float = parameter(1.0, "part of the way to the middle", low=0, high=1)

    def views(self, image, location):
        return [image if self.neutral else move_to_middle(image, guess_place(image), 1.0)]
