"""Signing in, and who one is."""

from pydantic import BaseModel, Field

from deltaglider_proxy.admin.schemas.iam import Input, Rule


class Password(Input):
    password: str = Field(max_length=1024, examples=["the bootstrap password"])


class KeyPair(Input):
    access_key_id: str = Field(max_length=256, examples=["AK7Q2M1ZC0V8N4B6X9SD"])
    secret_access_key: str = Field(max_length=256, examples=["forty letters and digits, of the answer"])


class Connect(KeyPair):
    endpoint: str = Field(max_length=2048, examples=["https://s3.example.com"])
    region: str | None = Field(default=None, max_length=128)
    bucket: str | None = Field(default=None, max_length=128)


class OpenConnect(Input):
    endpoint: str = Field(max_length=2048, examples=["https://s3.example.com"])
    region: str | None = Field(default=None, max_length=128)
    bucket: str | None = Field(default=None, max_length=128)


class S3Creds(Input):
    endpoint: str = Field(max_length=2048, examples=["https://s3.example.com"])
    region: str = Field(max_length=128, examples=["us-east-1"])
    bucket: str = Field(max_length=128, examples=["releases"])
    access_key_id: str = Field(max_length=256, examples=["AK7Q2M1ZC0V8N4B6X9SD"])
    secret_access_key: str = Field(max_length=256, examples=["forty letters and digits, of the answer"])


class Ok(BaseModel):
    ok: bool = True


class SessionState(BaseModel):
    valid: bool = True
    admin_gui: bool


class Me(BaseModel):
    name: str
    access_key_id: str
    is_admin: bool
    permissions: list[Rule]


class ExternalProvider(BaseModel):
    name: str
    type: str
    display_name: str


class Whoami(BaseModel):
    mode: str = Field(examples=["iam"], description="open, bootstrap, or iam")
    version: str | None = Field(default=None, description="Only for those who have signed in")
    user: Me | None = None
    config_db_mismatch: bool | None = None
    lock_state: str | None = None
    external_providers: list[ExternalProvider] | None = None


class SessionView(BaseModel):
    id: str
    ip: str | None
    age_secs: int
    admin_gui: bool
    auth: str
    identity: str | None
    current: bool


class Sessions(BaseModel):
    sessions: list[SessionView]


class Revoked(BaseModel):
    revoked: bool = True


class RevokeUser(Input):
    identity: str | None = Field(
        default=None, max_length=256, description="A user's name or access key, or `bootstrap`", examples=["ana"]
    )
    access_key_id: str | None = Field(default=None, max_length=256, description="Former name of `identity`")


class RevokedUser(BaseModel):
    revoked: bool
    revoked_local: int
    persisted: bool
    pushed: bool
    propagation_bound_secs: int | None


class PasswordChange(Input):
    current_password: str = Field(max_length=1024, examples=["the present password"])
    new_password: str = Field(max_length=1024, examples=["several words that nobody guesses"])
    force: bool = Field(
        default=False, description="Also where the hash comes from the environment or the configuration file"
    )


class PasswordChanged(BaseModel):
    ok: bool = True
    bootstrap_password_hash_base64: str = Field(description="For DGP_BOOTSTRAP_PASSWORD_HASH, if that is set")
    hint: str | None = None


class Candidate(Input):
    candidate_password: str = Field(max_length=1024, description="A bcrypt hash, or its base64", examples=["$2b$12$…"])


class Recovered(BaseModel):
    success: bool = True
    correct_hash: str
    correct_hash_base64: str


class NewToken(Input):
    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.@-]+$", examples=["deploy"])
    scopes: list[str] = Field(min_length=1, examples=[["config", "read"]])
    expires_in_days: float = Field(default=90, gt=0, le=3650)


class TokenView(BaseModel):
    id: str
    name: str
    scopes: list[str]
    created_by: str
    created_at: str
    expires_at: str
    last_used: str | None = None
    token: str | None = Field(default=None, description="Only in the answer that makes it")
