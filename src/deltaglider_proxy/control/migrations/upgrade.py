"""Brings an older database up to the tables of this release. Imported only where that is needed."""

from pathlib import Path

import structlog
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

_log = structlog.get_logger("deltaglider_proxy.control")


def config_for(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection, found: str | None) -> None:
    """In the caller's transaction: all steps, or none."""
    _log.info("the database is brought up to this release", schema=found)
    command.upgrade(config_for(connection), "head")
