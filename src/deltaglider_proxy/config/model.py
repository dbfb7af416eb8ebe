"""The base of every part of the configuration: frozen, strict, closed.

A section is a module with such a model, named by one field of the model above it. Lint, JSON Schema, defaults, the flat
shape and the environment registry read these models; none of them has a list of its own.
"""

from typing import Annotated, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Strict

T = TypeVar("T")

Many = Annotated[tuple[T, ...], Strict(False)]
"""A list of the file as a tuple. Only the container is lenient: its items stay strict."""

Uint = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


class Model(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        allow_inf_nan=True,
    )

    shorthands: ClassVar[type[BaseModel] | None] = None
    """Keys that a file may use here and that are rewritten before this model is built."""
