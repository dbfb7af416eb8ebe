"""`init`: write the first configuration file. Asks nothing, so that an image or a script can run it; `--init` asks."""

from pathlib import Path

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import result, say
from deltaglider_proxy.config import starter

DEFAULT_NAME = "deltaglider_proxy.yaml"


def run(path: Path) -> int:
    if path.suffix.lower() == ".toml":
        say(f"error: {path}: the file is written as YAML; name it *.yaml")
        return ExitCode.USAGE
    content = starter.text(starter.new_access_key_id(), starter.new_secret_access_key())
    try:
        starter.write(path, content)
    except FileExistsError:
        say(f"error: {path} exists and is left as it is; use it, remove it first, or name another file with --path")
        return ExitCode.REJECTED
    except OSError as failure:
        say(f"error: failed to write {path}: {failure.strerror or failure}")
        return ExitCode.IO
    option = "" if path == Path(DEFAULT_NAME) else f" --config {path}"
    result(
        f"wrote {path}, readable by you only; the key pair of your clients is in it, under `access`\n"
        f"check it:  deltaglider_proxy config lint {path}\n"
        f"start:     deltaglider_proxy{option}\n"
        "password:  deltaglider_proxy --set-bootstrap-password   (for the admin API; else one is made at the start)\n"
        f"try it:    aws --endpoint-url http://127.0.0.1:9000 s3 mb s3://releases\n"
    )
    return ExitCode.OK
