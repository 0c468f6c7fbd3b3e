"""Check what a user gives once, where it comes in, and answer in one sentence."""

from collections.abc import Collection, Mapping
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from crosseyed.errors import InputError, check_choice, shorten, suggest

LARGEST_SEED = 2**32 - 1

Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
"""A seed that numpy and torch take."""

Count = Annotated[int, Field(ge=1, le=10**7)]
"""A number of things to draw or to measure."""


def one_of(kind: str, choices: Collection[str]) -> AfterValidator:
    """Return what lets pydantic refuse a name that is none of the choices; `kind` says what they are, as in "size"."""

    def check(name: str) -> str:
        check_choice(kind, name, choices)
        return name

    return AfterValidator(check)


class Checked(BaseModel):
    """Base of what a user gives: no unknown names, and each value of its type without conversion."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


_Given = TypeVar("_Given", bound=BaseModel)


def validated(model: type[_Given], values: Mapping[str, object], what: str) -> _Given:
    """Return the values as a model, checked.

    Parameters
    ----------
    model : type
        A pydantic model, most often a subclass of `Checked`.
    values : mapping
        What a user gave, by name.
    what : str
        What the names belong to, with its article, such as ``"the notebook 01_center_bias"``.

    Raises
    ------
    InputError
        A name is unknown or missing, or a value has another type or is out of its range.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        # a misspelt name is the cause of what it leaves missing
        faults = sorted(error.errors(include_url=False), key=lambda fault: fault["type"] != "extra_forbidden")
        raise InputError(_sentence(faults[0], list(model.model_fields), what)) from None


def _sentence(fault: ErrorDetails, names: list[str], what: str) -> str:
    # of a choice between types, pydantic names the type too, such as "list[constrained-int]" or "str"
    name = ".".join(str(part) for part in fault["loc"] if fault["loc"][0] == part or isinstance(part, int))
    if fault["type"] == "extra_forbidden":
        near = suggest(name, names) or "."
        return f"{what[0].upper()}{what[1:]} has no {shorten(name)}{near} It has {', '.join(names)}."
    if fault["type"] == "missing":
        return f"{what[0].upper()}{what[1:]} lacks {name!r}; give it."
    cause = fault.get("ctx", {}).get("error")
    if isinstance(cause, InputError):  # of a check of ours, whose message says it all
        return f"{name} of {what}: {cause}"
    expected = fault["msg"].removeprefix("Value error, ").replace("Input should be", "it should be")
    return f"{name} of {what} is {shorten(fault['input'])}; {expected}."
