"""Both databases, each empty for each test."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from deltaglider_proxy.control.database import Database, Keys, PostgresTarget, SqliteTarget, Target, open_database
from tests.support import postgres

HASH = "$2b$04$abcdefghijklmnopqrstuuTnQHg9s5mCzBbFQWFmo4Gm0EGSyQ6Vi"
OTHER_HASH = "$2b$04$zbcdefghijklmnopqrstuuTnQHg9s5mCzBbFQWFmo4Gm0EGSyQ6Vi"
NOW = 1_800_000_000.0


@dataclass(frozen=True)
class Place:
    """Where a test keeps its database."""

    target: Target

    def open(self) -> Database:
        return open_database(self.target)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with postgres.running() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(SqliteTarget(tmp_path / "deltaglider_config.db", Keys(HASH)))
    url: str = request.getfixturevalue("postgres_url")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("drop schema public cascade")
        connection.execute("create schema public")
    return Place(PostgresTarget(url, Keys(HASH)))


@pytest.fixture
def database(place: Place) -> Iterator[Database]:
    opened = place.open()
    yield opened
    opened.close()
