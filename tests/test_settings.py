import pytest

from crosseyed import settings as module
from crosseyed.errors import InputError
from crosseyed.settings import Captions, Settings, settings


def test_the_defaults_are_those_of_the_study():
    assert (settings.confidence, settings.resamples, settings.center_limit) == (0.95, 10_000, 1 / 3)
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
        ({"confidense": 0.9}, "no setting 'confidense'.*did you mean 'confidence'"),
        ({"confidence": 95}, "confidence is 95; expected a number between 0 and 1"),
        ({"confidence": "0.9"}, "confidence is '0.9'"),
        ({"resamples": 0}, "resamples is 0; expected a whole number, at least 1"),
        ({"resamples": 10.5}, "resamples is 10.5"),
        ({"center_limit": 0}, "center_limit is 0"),
        ({"grid_size": 4}, "grid_size is 4; expected an odd whole number"),
        ({"grid_size": True}, "grid_size is True"),
        ({"language": "xx"}, "language is 'xx'; expected 'en'"),
    ],
)
def test_what_is_no_setting_is_named_and_changes_nothing(values, message):
    fresh = Settings()
    with pytest.raises(InputError, match=message):
        fresh.override({"resamples": 7, **values})
    assert fresh == Settings()
