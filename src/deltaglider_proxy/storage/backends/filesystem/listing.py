"""A page of a bucket: the plain and the escaped tree walked side by side, merged in the order of keys.

Each object on the page is opened, so that its size, ETag and metadata are of one generation; one that was deleted
meanwhile is left out. Runs in a thread. Costs grow with the page, not with what lies before or after it.
"""

import errno
from collections.abc import Iterator
from dataclasses import dataclass

from deltaglider_proxy.storage import keys
from deltaglider_proxy.storage.backend import Page, Stored
from deltaglider_proxy.storage.backends.filesystem import generations, paths
from deltaglider_proxy.storage.backends.filesystem.failures import BLOCKED
from deltaglider_proxy.storage.backends.filesystem.files import READ, Files
from deltaglider_proxy.storage.backends.filesystem.names import Names
from deltaglider_proxy.storage.backends.filesystem.walk import Walker, plain_skip


@dataclass(frozen=True, slots=True)
class Query:
    """The arguments of `Backend.list`."""

    prefix: str
    after: str
    limit: int
    delimiter: str
    hidden: str
