"""Images of rendered pages that state their size."""

import matplotlib.pyplot as plt
from PIL import Image

from crosseyed.workflow.page_images import give_sizes


def test_images_state_the_size_of_their_files(tmp_path):
    (tmp_path / "_images").mkdir()
    Image.new("RGB", (37, 11)).save(tmp_path / "_images" / "a b.png")
    figure = plt.figure(figsize=(3, 2))
    figure.savefig(tmp_path / "_images" / "drawn.svg")
    plt.close(figure)
    (tmp_path / "notebooks").mkdir()
    kept = '<img src="https://a.b/c.png"><img src="data:x"><img src="missing.png">'
    kept += '<img alt="x" style="width: 3px" src="x">'
    page = tmp_path / "notebooks" / "one.html"
    page.write_text(f'<img alt="&lt;" src="../_images/a%20b.png"/><img src="../_images/drawn.svg">{kept}')
    give_sizes(tmp_path)
    assert page.read_text() == (
        '<img width="37" height="11" alt="&lt;" src="../_images/a%20b.png"/>'
        f'<img width="288" height="192" src="../_images/drawn.svg">{kept}'
    )
    before = page.stat().st_mtime_ns
    give_sizes(tmp_path)
    assert page.stat().st_mtime_ns == before
