"""How a model is measured: on few images where it is slow."""

import time
from types import SimpleNamespace

import torch

from crosseyed.models.loading import load
from crosseyed.workflow import speed


class Slow:
    """An image tower that takes a time for each image, and notes the batches it saw."""

    image_size, device, precision = (8, 8), torch.device("cpu"), "fp32"

    def __init__(self, seconds):
        self.batches = []

        def encode_image(images):
            self.batches.append(len(images))
            time.sleep(seconds * len(images))
            return images.mean((1, 2, 3))

        self.clip = SimpleNamespace(encode_image=encode_image)


def test_a_fast_model_is_measured_in_whole_batches():
    model = Slow(0)
    assert speed.pass_seconds(model) > 0
    assert model.batches[-1] == speed.BATCH


def test_a_slow_model_is_measured_on_few_images(monkeypatch):
    monkeypatch.setattr(speed, "SECONDS", 0.6)
    model = Slow(0.05)
    assert speed.pass_seconds(model) >= 0.05
    assert 1 <= model.batches[-1] <= 4


def test_a_rounded_model_is_measured_although_some_of_its_parameters_are_not(tiny_folder):
    rounded = load(f"local-dir:{tiny_folder}", precision="bf16")
    assert next(rounded.clip.visual.parameters()).dtype == torch.float32  # as open_clip leaves it
    assert speed.pass_seconds(rounded) > 0


def test_a_measurement_says_what_a_model_takes(tiny_clip, monkeypatch):
    monkeypatch.setattr(speed, "load", lambda _: tiny_clip)
    threads = torch.get_num_threads()
    measured = speed.measure(tiny_clip, 1, download=True)
    assert measured.device == "cpu"
    assert measured.threads == 1
    assert measured.weights_mb * 1e6 == 4 * sum(each.numel() for each in tiny_clip.clip.parameters())
    assert measured.dimensions == tiny_clip.encode_texts(["a"]).shape[1]
    assert measured.download
    assert torch.get_num_threads() == threads
