"""Make `from_scratch.csv`: the bias of the models that were trained from scratch with each pooling.

python data/course/pooling/build.py
"""

from pathlib import Path

from crosseyed.measure import bootstrap
from crosseyed.tables import write_table
from crosseyed.training.experiments import read_answers

KEYS = ["pooling", "positions", "seed"]


def main() -> None:
    """Summarise the answers that the repository keeps."""
    answers = read_answers("pooling", protocol="grid")
    bias = bootstrap.center_bias(answers, by=KEYS)
    bias = bias.rename(columns=lambda name: name.replace("bias_index", "index").replace("_accuracy", ""))
    sides = ("", "_low", "_high")
    numbers = [f"{each}{side}" for each in ("center", "off_center", "gap", "index") for side in sides]
    shown = bias[[*KEYS, *numbers, "n_objects"]].round(
        {**dict.fromkeys(numbers, 2)} | {f"index{s}": 3 for s in sides}
    )
    write_table(shown, Path(__file__).parent / "from_scratch.csv")


if __name__ == "__main__":
    main()
