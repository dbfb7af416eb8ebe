"""The tables, for both databases. A change of this module needs a migration; a test compares the two.

Ids are never used twice, so that what was deleted cannot be taken for what came later. Times are seconds since the
epoch. What is sealed is opaque to the database.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_ID = BigInteger().with_variant(Integer, "sqlite")


def _numbered(name: str, *columns: "Column[object] | Index") -> Table:
    return Table(
        name,
        metadata,
        Column("id", _ID, primary_key=True, autoincrement=True),
        *columns,
        sqlite_autoincrement=True,
    )


revisions = Table(
    "revisions",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

removals = Table(
    "removals",
    metadata,
    Column("kind", String, primary_key=True),
    Column("id", BigInteger, primary_key=True),
    Column("revision", BigInteger, nullable=False, index=True),
)

sealing_keys = Table(
    "sealing_keys",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("salt", LargeBinary, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
)

users = _numbered(
    "users",
    Column("name", String, nullable=False, unique=True),
    Column("enabled", Boolean(create_constraint=False), nullable=False),
    Column("auth_source", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("permissions", Text, nullable=False),
    Column("revision", BigInteger, nullable=False, index=True),
)

access_keys = Table(
    "access_keys",
    metadata,
    Column("access_key_id", String, primary_key=True),
    Column("user_id", _ID, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("enabled", Boolean(create_constraint=False), nullable=False),
    Column("expires_at", Float),
)

groups = _numbered(
    "groups",
    Column("name", String, nullable=False, unique=True),
    Column("description", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("permissions", Text, nullable=False),
    Column("revision", BigInteger, nullable=False, index=True),
)

group_members = Table(
    "group_members",
    metadata,
    Column("group_id", _ID, ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", _ID, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("source", String, nullable=False),
)

auth_providers = _numbered(
    "auth_providers",
    Column("name", String, nullable=False, unique=True),
    Column("provider_type", String, nullable=False),
    Column("enabled", Boolean(create_constraint=False), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("display_name", String),
    Column("client_id", String),
    Column("sealed_client_secret", LargeBinary),
    Column("issuer_url", String),
    Column("scopes", String, nullable=False),
    Column("extra_config", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)

mapping_rules = _numbered(
    "mapping_rules",
    Column("provider_id", _ID, ForeignKey("auth_providers.id", ondelete="CASCADE")),
    Column("priority", Integer, nullable=False),
    Column("match_type", String, nullable=False),
    Column("match_field", String, nullable=False),
    Column("match_value", String, nullable=False),
    Column("group_id", _ID, ForeignKey("groups.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Float, nullable=False),
)

external_identities = _numbered(
    "external_identities",
    Column("user_id", _ID, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("provider_id", _ID, ForeignKey("auth_providers.id", ondelete="CASCADE"), nullable=False),
    Column("external_sub", String, nullable=False),
    Column("email", String),
    Column("display_name", String),
    Column("last_login", Float),
    Column("raw_claims", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("email_verified", Boolean(create_constraint=False), nullable=False),
    Index("ix_external_identities_subject", "provider_id", "external_sub", unique=True),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("auth", String, nullable=False),
    Column("identity", String, nullable=False, index=True),
    Column("user_id", _ID, ForeignKey("users.id", ondelete="CASCADE")),
    Column("ip", String),
    Column("created_at", Float, nullable=False),
    Column("last_seen", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("sealed_s3", LargeBinary),
)

session_revocations = Table(
    "session_revocations",
    metadata,
    Column("identity", String, primary_key=True),
    Column("revoked_since", Float, nullable=False),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("scopes", Text, nullable=False),
    Column("created_by", String, nullable=False),
    Column("user_id", _ID, ForeignKey("users.id", ondelete="CASCADE")),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("last_used", Float),
)

config_revisions = _numbered(
    "config_revisions",
    Column("applied_at", Float, nullable=False),
    Column("applied_by", String, nullable=False),
    Column("action", String, nullable=False),
    Column("sealed_document", LargeBinary, nullable=False),
    Column("summary", Text, nullable=False),
)

state = Table(
    "state",
    metadata,
    Column("name", String, primary_key=True),
    Column("document", Text, nullable=False),
)
