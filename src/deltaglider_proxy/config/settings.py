"""The whole configuration as one value. The fields below are the sections; a section is a module of this package."""

from collections.abc import Iterator
from typing import Literal

from deltaglider_proxy.config.access import Access
from deltaglider_proxy.config.admission import Admission
from deltaglider_proxy.config.advanced import Advanced
from deltaglider_proxy.config.model import Model
from deltaglider_proxy.config.storage import Storage


class Settings(Model):
    defaults: Literal["v1"] = "v1"
    """Which defaults apply; pins them against later releases."""
    admission: Admission = Admission()
    """Rules that decide before any credential is looked at."""
    access: Access = Access()
    """Who may sign requests."""
    storage: Storage = Storage()
    """Backends and buckets."""
    advanced: Advanced = Advanced()
    """The process, its limits, caches and delta compression."""


def section_names() -> Iterator[str]:
    """Names of the sections, in the order of the file."""
    return (name for name in Settings.model_fields if name != "defaults")
