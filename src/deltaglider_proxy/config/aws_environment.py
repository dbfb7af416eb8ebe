"""Keys and region as AWS programs find them: environment and files, each pair from one source.

Files that are not needed are not read, so that complete keys work without a home directory. Source: AWS SDKs and Tools
Reference Guide, "Shared config and credentials files".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_DEFAULT_REGION = "us-east-1"


class AwsConfigError(Exception):
    """Says where something is wrong, or what is missing."""


@dataclass(frozen=True, slots=True)
class AwsKeys:
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def keys(environ: Mapping[str, str], profile: str | None, given: AwsKeys | None) -> AwsKeys:
    """What was given, else an explicit profile, the environment, the default profile. Raises AwsConfigError."""
    if given is not None:
        return given
    key_id, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if profile is None and key_id and secret:
        return AwsKeys(key_id, secret, environ.get("AWS_SESSION_TOKEN") or None)
    name = profile or environ.get("AWS_PROFILE") or "default"
    found = _section(_path(environ, "AWS_SHARED_CREDENTIALS_FILE", "credentials"), name)
    key_id, secret = found.get("aws_access_key_id"), found.get("aws_secret_access_key")
    if key_id and secret:
        return AwsKeys(key_id, secret, found.get("aws_session_token") or None)
    raise AwsConfigError(
        "no credentials: give --access-key-id and --secret-access-key, set AWS_ACCESS_KEY_ID and "
        f"AWS_SECRET_ACCESS_KEY, or add the profile {name!r} to ~/.aws/credentials"
    )


def region(environ: Mapping[str, str], profile: str | None, given: str | None) -> str:
    """Raises AwsConfigError for a file that is broken."""
    found = given or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    if found:
        return found
    name = profile or environ.get("AWS_PROFILE") or "default"
    section = name if name == "default" else f"profile {name}"
    return _section(_path(environ, "AWS_CONFIG_FILE", "config"), section).get("region") or _DEFAULT_REGION


def endpoint(environ: Mapping[str, str], given: str | None) -> str | None:
    return given or environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")


def _path(environ: Mapping[str, str], variable: str, name: str) -> Path | None:
    if environ.get(variable):
        return Path(environ[variable])
    home = environ.get("HOME")
    return Path(home) / ".aws" / name if home else None


def _section(path: Path | None, name: str) -> Mapping[str, str]:
    """Empty where the file or the section is not there."""
    if path is None:
        return {}
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise AwsConfigError(f"{path}: {error}") from error
    found: dict[str, str] = {}
    current = None
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        if stripped.startswith("["):
            if not stripped.endswith("]"):
                raise AwsConfigError(f"{path}: line {number}: a section is written as [name]")
            current = stripped[1:-1].strip()
        elif "=" in stripped:
            key, _, value = stripped.partition("=")
            if current == name and not line[0].isspace():
                found[key.strip().lower()] = value.strip()
        elif not line[0].isspace():
            raise AwsConfigError(f"{path}: line {number}: expected KEY = VALUE")
    return found
