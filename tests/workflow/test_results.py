import pandas as pd
import pytest
from small_results import bias, collected, write_results

from crosseyed.errors import InputError
from crosseyed.report import tables
from crosseyed.report.tables import MissingTableError


@pytest.fixture
def results(tmp_path):
    return write_results(tmp_path / "results")


def test_a_result_has_a_row_per_protocol_about_the_editions_own_model(results):
    table = collected(results).set_index("protocol")
    assert table["gap"].to_dict() == {"grid": 75.0, "pair": 50.0}
    assert table["off_center_accuracy"].to_dict() == {"grid": 25.0, "pair": 50.0}
    assert (table["gap_low"] <= table["gap"]).all()
    row = table.loc["grid"]
    assert (row["edition"], row["seed"], row["tokens"], row["patch_size"]) == (
        "ViT-B-32--openai--seed2",
        2,
        49,
        32,
    )
    assert (row["device"], row["size"]) == ("cpu", "standard")
    assert '"seed": 2' in row["notebook_parameters"]


def test_a_result_needs_the_tables_of_the_first_chapter(results):
    chapter = results / "01_center_bias"
    tables.write(chapter, "pair_bias", pd.DataFrame([bias("another", 100, 90)]))
    with pytest.raises(InputError, match="no row of the model ViT-B-32"):
        collected(results)
    (chapter / "pair_bias.csv").unlink()
    with pytest.raises(MissingTableError, match="'pair_bias' of the chapter 01_center_bias"):
        collected(results)


def test_chapters_of_other_weights_are_not_taken_for_the_models(results):
    record = tables.read_record(results / "01_center_bias")
    record.weights = "00000000"
    tables.write_record(results / "01_center_bias", record)
    with pytest.raises(InputError, match=r"01_center_bias.*weights 00000000.*1a2b3c4d"):
        collected(results)
