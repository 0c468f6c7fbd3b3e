"""How much each notebook takes of everything at each size of an edition: the one place for these numbers.

An edition is ``quick``, ``standard`` or ``full`` (`crosseyed.editions.SIZES`). Full is what the notebooks state
themselves; the smaller sizes answer the same questions with wider intervals. What is shown at a smaller size is part of
what is shown at a larger one, image by image, so that embeddings in the cache are taken over.

To change a size, change its numbers here, and those of ``full`` in the notebook's parameters cell as well; a test
compares the two, and others that smaller sizes are part of larger ones.
"""

from collections.abc import Mapping

from crosseyed.editions import SIZES
from crosseyed.errors import check_choice

Parameters = Mapping[str, object]

PRESETS: Mapping[str, Mapping[str, Parameters]] = {
    "01_center_bias": {
        "quick": {"n_objects": 12, "n_control_objects": 3, "styles": ["fluent"]},
        "standard": {"n_objects": 20, "n_control_objects": 8, "styles": ["fluent", "twemoji"]},
        "full": {"n_objects": 72, "n_control_objects": 32, "styles": ["fluent", "twemoji"]},
    },
    "02_embedding_decomposition": {
        "quick": {"n_objects": 6, "n_exchanged": 4, "n_concepts": 1000},
        "standard": {"n_objects": 12, "n_exchanged": 8, "n_concepts": 2000},
        "full": {"n_objects": 40, "n_exchanged": 16, "n_concepts": 2000},
    },
    "03_attention_maps": {
        "quick": {"n_objects": 8, "n_explained": 2},
        "standard": {"n_objects": 20, "n_explained": 3},
        "full": {"n_objects": 40, "n_explained": 8},
    },
    "04_pooling_ablation": {
        "quick": {"n_test": 8, "n_validation": 6, "n_training": 12, "scenes_per_object": 8, "n_maps": 4},
        "standard": {
            "n_test": 12,
            "n_validation": 10,
            "n_training": 24,
            "scenes_per_object": 12,
            "n_maps": 8,
        },
        "full": {"n_test": 36, "n_validation": 20, "n_training": 68, "scenes_per_object": 20, "n_maps": 24},
    },
    "05_mitigations": {
        "quick": {"n_validation": 4, "n_test": 3, "styles": ["fluent"]},
        "standard": {"n_validation": 6, "n_test": 7, "styles": ["fluent", "twemoji"]},
        "full": {"n_validation": 28, "n_test": 28, "styles": ["fluent", "twemoji"]},
    },
    "08_robustness": {
        "quick": {"n_objects": 6, "n_control_objects": 4},
        "standard": {"n_objects": 14, "n_control_objects": 8},
        "full": {"n_objects": 32, "n_control_objects": 16},
    },
    "09_move_it_yourself": {
        "quick": {"n_objects": 6, "n_places": [5, 3]},
        "standard": {"n_objects": 8, "n_places": [9, 5]},
        "full": {"n_objects": 24, "n_places": [9, 5]},
    },
}
"""By notebook and size the parameters that differ. Notebooks that are not here cost next to nothing and are the same in
all sizes."""


def preset(notebook: str, size: str) -> Parameters:
    """Return the parameters that a notebook is given at a size.

    There are none at ``full``, whose numbers stand in the notebook and can be changed there.

    Parameters
    ----------
    notebook : str
        Its name without suffix.
    size : str
        One of `crosseyed.editions.SIZES`.

    Raises
    ------
    InputError
        The size does not exist.
    """
    check_choice("size", size, SIZES)
    return {} if size == "full" else dict(PRESETS.get(notebook, {}).get(size, {}))
