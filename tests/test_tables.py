"""The check of a table's columns."""

import pandas as pd
import pytest

from crosseyed.errors import InputError
from crosseyed.tables import require_columns


def test_a_table_with_the_columns_passes():
    require_columns(pd.DataFrame({"a": [1], "b": [2]}), ["a"], "the table")


def test_a_missing_column_is_named_with_the_table_and_its_columns():
    with pytest.raises(InputError, match=r"\['c'\] are missing from the table of rings, which has \['a'\]"):
        require_columns(pd.DataFrame({"a": [1]}), ["a", "c"], "the table of rings")
