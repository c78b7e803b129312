"""Types of the options' values, and the other forms that are accepted for them."""

import os
import re
from datetime import date, datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

AGE = r"^\d{1,6}[smhd]$"
DEADLINE = r"\d{1,6}[smhd]|([01]\d|2[0-3]):[0-5]\d"


def _date_as_text(value: object) -> object:
    """Returns a date or time as text; YAML turns texts that look like dates into dates."""
    return value.isoformat() if isinstance(value, date) else value


def _check_moment(text: str) -> str:
    if not re.match(AGE, text):
        try:
            datetime.fromisoformat(text)
        except ValueError as error:
            raise ValueError("write a date or time such as 2026-01-31 or '2026-01-31 06:00', or an age, 2d") from error
    return text


def at_home(place: str) -> str:
    """Returns a path whose leading ~ is replaced by the home folder, unless a file has this very name."""
    return os.path.expanduser(place) if place.startswith("~") and not os.path.lexists(place) else place


def _as_list(value: object) -> object:
    """Returns a text as a list with one item."""
    return [value] if isinstance(value, str) else value


def _with_commas(value: object) -> object:
    """Returns a list of texts as one text, joined by commas."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ",".join(value)
    return value


Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[list[Text], BeforeValidator(_as_list)]
Place = Annotated[Text, AfterValidator(at_home)]
Places = Annotated[list[Place], BeforeValidator(_as_list)]
Names = Annotated[Text, BeforeValidator(_with_commas)]
Moment = Annotated[str, BeforeValidator(_date_as_text), AfterValidator(_check_moment)]
