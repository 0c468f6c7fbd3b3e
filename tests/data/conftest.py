import pytest
from drawn_cutouts import cloud, disc, flag, write_cutout

from crosseyed.data.cutouts import (
    read_catalogue,
    sample_objects,
)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    return {
        inside.__name__: write_cutout(folder / f"{inside.__name__}.png", inside)
        for inside in (disc, flag, cloud)
    }


@pytest.fixture(scope="module")
def catalogue():
    return read_catalogue()


@pytest.fixture(scope="module")
def few(catalogue):
    return sample_objects(catalogue, 5, seed=0)
