"""The two views are averaged at every strength, so zero costs a second, slightly dimmed view.

Question: q7
Points: 2
"""


@dataclass(frozen=True)
class Mine(Mitigation):
    label: ClassVar[str] = "plain and dimmed"
    neutral_at: ClassVar = {"strength": 0}
    strength: float = parameter(1.0, "how dark the second view is", low=0, high=1)

    @property
    def n_views(self):
        return 2

    def views(self, image, location):
        return [image, (image * (0.9 - 0.5 * self.strength)).astype(np.uint8)]

    def combine(self, similarities, logit_scale):
        return similarities.mean(axis=1)


entry = {"name": "plain and dimmed", "strength": 0.5}
