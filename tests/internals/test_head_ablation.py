"""Answers without some of the heads."""

import numpy as np
import pandas as pd
import torch

from crosseyed.internals.decompose import Decomposition
from crosseyed.internals.head_ablation import (
    ablation_answers,
    ablation_changes,
    half_of_objects,
    random_sets,
)


def test_random_sets_are_of_all_other_heads_of_the_same_layers_and_follow_the_seed():
    heads = [(layer, head) for layer in range(3) for head in range(4)]
    chosen = [(0, 1), (2, 0), (2, 3)]
    sets = random_sets(chosen, heads, 200, seed=1)
    assert len(sets) == 200
    for each in sets:
        assert sorted(layer for layer, _ in each) == [0, 2, 2]
        assert len(set(each)) == 3
        assert not set(each) & set(chosen)
    assert {head for each in sets for head in each} == {(0, 0), (0, 2), (0, 3), (2, 1), (2, 2)}
    assert sets == random_sets(chosen, heads, 200, seed=1) != random_sets(chosen, heads, 200, seed=2)


def test_a_layer_with_too_few_others_gives_all_of_them():
    assert random_sets([(1, 0), (1, 1)], [(1, 0), (1, 1), (1, 2)], 2, seed=0) == [[(1, 2)]] * 2


def test_heads_are_ranked_on_half_of_the_objects():
    about = pd.DataFrame({"object": list("aabbccdd")})
    ranked = half_of_objects(about, seed=0)
    assert set(about["object"][ranked]).isdisjoint(about["object"][~ranked])
    assert ranked.sum() == 4
    assert any((half_of_objects(about, seed) != ranked).any() for seed in range(1, 9))


def test_changes_are_paired_by_image_and_random_sets_averaged():
    about = {"image": ["i", "j"], "object": ["cup", "dog"], "center": [True, False]}
    sets = {"none": [True, False], "top": [False, True], "random": [True, True]}
    answers = [pd.DataFrame(about).assign(ablated=name, correct=right) for name, right in sets.items()]
    answers.append(pd.DataFrame(about).assign(ablated="random", correct=[False, False]))
    table = ablation_changes(pd.concat(answers), "top", "random").set_index(["contrast", "image"])["change"]
    assert table.to_dict() == {
        ("top", "i"): -100,
        ("top", "j"): 100,
        ("random", "i"): -50,
        ("random", "j"): 50,
        ("top against random", "i"): -50,
        ("top against random", "j"): 50,
    }


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
