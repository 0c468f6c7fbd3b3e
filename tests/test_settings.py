import pytest

from crosseyed import settings as module
from crosseyed.errors import InputError
from crosseyed.settings import Captions, Settings, settings


def test_the_defaults_are_those_of_the_study():
    assert (settings.confidence, settings.resamples, settings.center_limit) == (0.95, 10_000, 1 / 7)
    assert (settings.grid_size, settings.interval) == (5, "95 % interval")
    assert settings.caption("dog") == "a photo of a dog"
    assert settings.four_captions("dog", "key") == (
        "a dog and a key",
        "a dog",
        "a key",
        "a cat and a refrigerator",
    )


def test_values_are_changed_for_a_while_and_come_back_after_an_error():
    with pytest.raises(KeyError), settings.overridden(confidence=0.9, grid_size=7):
        assert (settings.interval, settings.grid_size) == ("90 % interval", 7)
        raise KeyError
    assert (settings.confidence, settings.grid_size) == (0.95, 5)


def test_a_further_language_is_a_further_entry(monkeypatch):
    german = Captions("ein Foto: {}", "{} und {}", "{}", "eine Katze und ein Schrank", {"dog": "Hund"})
    monkeypatch.setitem(module.CAPTIONS, "de", german)
    with settings.overridden(language="de"):
        assert settings.caption("dog") == "ein Foto: Hund"
        assert settings.four_captions("dog", "key")[:2] == ("Hund und key", "Hund")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"confidense": 0.9}, "parameter settings has no 'confidense'; did you mean 'confidence'"),
        ({"confidence": 95}, "confidence of the parameter settings is 95; it should be less than 1"),
        ({"confidence": "0.9"}, "confidence of the parameter settings is '0.9'"),
        (
            {"resamples": 0},
            "resamples of the parameter settings is 0; it should be greater than or equal to 1",
        ),
        ({"resamples": 10.5}, "resamples of the parameter settings is 10.5"),
        ({"center_limit": 0}, "center_limit of the parameter settings is 0"),
        ({"grid_size": 4}, "grid_size of the parameter settings: 4 is even; give an odd number"),
        ({"grid_size": True}, "grid_size of the parameter settings is True"),
        ({"language": "xx"}, "language of the parameter settings: Unknown language 'xx'.*Choose from en"),
    ],
)
def test_what_is_no_setting_is_named_and_changes_nothing(values, message):
    fresh = Settings()
    with pytest.raises(InputError, match=message):
        fresh.override({"resamples": 7, **values})
    assert fresh == Settings()
