"""Answers without some of the heads."""

import numpy as np
import pandas as pd
import torch

from crosseyed.internals.decompose import Decomposition
from crosseyed.internals.head_ablation import ablation_answers, random_sets


def test_random_sets_have_different_heads_and_follow_the_seed():
    heads = [(layer, head) for layer in range(3) for head in range(2)]
    sets = random_sets(heads, 4, 20, seed=1)
    assert len(sets) == 20
    assert all(len(set(each)) == 4 and set(each) <= set(heads) for each in sets)
    assert sets == random_sets(heads, 4, 20, seed=1) != random_sets(heads, 4, 20, seed=2)


def test_without_the_head_that_names_the_object_all_images_answer_alike():
    named, other = torch.eye(2), torch.tensor([[0.1, 0.0], [0.1, 0.0]])
    none = torch.zeros(2, 2)
    split = Decomposition(
        images=range(2),
        layers=(1,),
        grid=(1, 1),
        prefix=0,
        embedding=named + other,
        length=torch.ones(2),
        start=none,
        heads=torch.stack([named, other], 1)[None],
        tokens=torch.zeros(2, 1, 2),
        mlp=torch.zeros(0, 2, 2),
        bias=none,
    )
    about = pd.DataFrame({"object": ["cup", "dog"]})
    sets = {"none": [[]], "named": [[(1, 0)]], "each": [[(1, 0)], [(1, 1)]]}
    answers = ablation_answers(split, sets, np.eye(2, dtype=np.float32), ["cup", "dog"], about)
    assert answers.groupby("ablated")["correct"].sum().to_dict() == {"none": 2, "named": 1, "each": 3}
    assert answers.groupby("ablated").size().to_dict() == {"none": 2, "named": 2, "each": 4}
