"""Measure how long the live explorer takes to answer, over HTTP and on two cores.

Targets: the plain answer (similarities, attention and similarity map) within 150 ms for a PocketCLIP and within 500 ms
for a ViT-B-32, a mitigation within 1 s. Weights play no role, so those of ViT-B-32 are random. The object moves with
every request; captions stay, as they do while somebody drags. Printed are the median and the 90th percentile of the
wall clock, and the median of the processor time, which a busy machine disturbs less: on two cores that are free a
request takes between half of it and all of it. The last column is the median of the wall clock over that of a plain
pass of the tower on one image, measured in turn with it. Run with ``python tests/benchmarks/bench_explore.py``.
"""

import argparse
import http.client
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from crosseyed.explorer import server
from crosseyed.explorer.live import Live, shipped_objects
from crosseyed.explorer.uploads import Uploads
from crosseyed.models.clip import ClipModel
from crosseyed.models.loading import load

PLAIN_TARGETS = {"pocketclip-centered": 150, "ViT-B-32": 500}
MITIGATED_TARGET = 1000


def measured(asked: Callable[[int], object], plain: Callable[[], object], repeats: int) -> np.ndarray:
    """Return milliseconds, (repeats, 3): wall clock and processor time of a request, wall clock of a plain pass."""
    times = np.empty((repeats + 2, 3))
    for number, taken in enumerate(times):
        wall, processor = time.perf_counter(), time.process_time()
        asked(number)
        taken[:2] = time.perf_counter() - wall, time.process_time() - processor
        wall = time.perf_counter()
        plain()
        taken[2] = time.perf_counter() - wall
    return 1000 * times[2:]  # the first two warm up


def report(model: ClipModel, running: server.Server, target: int, repeats: int) -> None:
    """Print one line for the plain answer, for new captions, and for the costliest mitigation of each family."""
    live = running.live
    connection = http.client.HTTPConnection(server.ADDRESS, running.server_port)
    blank = np.zeros((224, 224, 3), np.uint8)

    def ask(path: str, number: int, mitigation: str = "", new: bool = False) -> None:
        place = {
            "kind": "stage",
            "object": "dog",
            "x": number % 40 / 40,
            "y": 0.4,
            "size": 0.3,
            "background": 0,
        }
        captions = [f"{each}{f' {number}' if new else ''}" for each in live.offered()["captions"]]
        body = json.dumps({"seen": place, "captions": captions, "mitigation": mitigation})
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"/{running.token}/{path}", body, headers)
        response = connection.getresponse()
        if response.status != 200:
            raise SystemExit(response.read().decode())
        response.read()

    costliest = {
        each["family"]: each
        for each in sorted(live.offered()["mitigations"], key=lambda each: each["passes"])
    }
    rows = [
        ("plain", target, lambda number: ask("answer", number)),
        ("plain, 8 new captions", target, lambda number: ask("answer", number, new=True)),
        *(
            (
                f"{family} ({each['passes']} passes)",
                MITIGATED_TARGET,
                lambda number, each=each: ask("mitigated", number, each["name"]),
            )
            for family, each in costliest.items()
        ),
    ]
    print(f"{model.name}\n  {'':34}{'median':>8}{'90%':>8}{'cpu':>8}{'target':>8}{'passes':>8}")
    for words, limit, asked in rows:
        taken = measured(asked, lambda: model.encode_images([blank], progress=False), repeats)
        wall, processor, plain = np.median(taken, axis=0)
        high = np.quantile(taken[:, 0], 0.9)
        print(f"  {words:34}{wall:8.0f}{high:8.0f}{processor:8.0f}{limit:8}{wall / plain:8.1f}", flush=True)
    connection.close()


def main() -> None:
    """Print the times for a PocketCLIP and for ViT-B-32."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20, help="requests of each kind, after two to warm up")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"milliseconds, {options.threads} threads; passes: over the time of a plain pass")
    for name, target in PLAIN_TARGETS.items():
        model = load(name, pretrained="random" if name == "ViT-B-32" else None, device="cpu")
        with server.bind() as running, TemporaryDirectory() as folder:
            running.live = Live(model, shipped_objects(), Uploads(Path(folder)))
            threading.Thread(target=running.serve_forever, daemon=True).start()
            report(model, running, target, options.repeats)
            running.shutdown()


if __name__ == "__main__":
    main()
