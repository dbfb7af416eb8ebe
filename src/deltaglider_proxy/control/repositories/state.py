"""Small named documents, such as switches, that all nodes share."""

import orjson
from sqlalchemy import Connection, delete, insert, select

from deltaglider_proxy.control.tables import state

Document = dict[str, object]


class State:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> Document | None:
        found = self._connection.execute(select(state.c.document).where(state.c.name == name)).scalar_one_or_none()
        return orjson.loads(found) if found is not None else None

    def set(self, name: str, document: Document) -> None:
        self._connection.execute(delete(state).where(state.c.name == name))
        self._connection.execute(insert(state).values(name=name, document=orjson.dumps(document).decode()))
