"""The first configuration file of an installation: usable as it is, closed by a fresh key pair, never overwritten."""

import os
import secrets
from pathlib import Path

from deltaglider_proxy.config.persist import replace_file

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

_TEXT = """\
# Configuration of deltaglider_proxy. Check it after a change: deltaglider_proxy config lint
# Every value can come from the environment, as in ${{env:NAME}} or ${{env:NAME:-default}}.

access:
  # Clients sign their requests with this pair.
  access_key_id: "{access_key_id}"
  secret_access_key: "{secret_access_key}"

storage:
  backend:
    type: filesystem
    path: ./data
  # An S3 service instead:
  # backend:
  #   type: s3
  #   endpoint: https://s3.eu-central-1.amazonaws.com
  #   region: eu-central-1
  #   force_path_style: false
  #   access_key_id: ${{env:BACKEND_KEY_ID}}
  #   secret_access_key: ${{env:BACKEND_SECRET}}

advanced:
  # Only this host can connect. Put a reverse proxy in front, or listen on 0.0.0.0:9000.
  listen_addr: 127.0.0.1:9000
  # Bytes; larger uploads are refused. Without this line the limit is 100 MiB.
  max_object_size: 5368709120
  # MiB of references kept on local disk; 1024 or more for real loads.
  cache_size_mb: 1024
"""


def new_access_key_id() -> str:
    """20 characters, 85 random bits."""
    return "DGP" + "".join(secrets.choice(_LETTERS) for _ in range(17))


def new_secret_access_key() -> str:
    """40 characters, 240 random bits."""
    return secrets.token_urlsafe(30)


def text(access_key_id: str, secret_access_key: str) -> str:
    return _TEXT.format(access_key_id=access_key_id, secret_access_key=secret_access_key)


def write(path: Path, content: str, *, overwrite: bool = False) -> None:
    """Create the file, readable by its owner only. Raises FileExistsError unless it may `overwrite`, or another OSError
    and leaves what was there.
    """
    if overwrite:
        replace_file(path, content.encode())
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
