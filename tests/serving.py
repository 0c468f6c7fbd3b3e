"""A running server of the live explorer, and images as a browser uploads them."""

import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from crosseyed.explorer import server
from crosseyed.explorer.live import Live
from crosseyed.explorer.uploads import Uploads
from crosseyed.models.clip import ClipModel


@contextmanager
def served(model: ClipModel, cutouts: Sequence[Path], folder: Path) -> Iterator[server.Server]:
    """Serve a model and cut-outs; uploads are kept in a folder."""
    with server.bind() as bound:
        bound.live = Live(model, cutouts, Uploads(folder))
        threading.Thread(target=bound.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield bound
        finally:
            bound.shutdown()


def file_of(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """Encode an image."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
