"""`admission trace`: what the admission chain of a running server decides about a request."""

import json

from deltaglider_proxy.cli.admin_client import AdminClient, CannotCall, detail_of
from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import result, say
from deltaglider_proxy.config.environment import process_environment


def run(request: dict[str, object], server: str, timeout: float, expected: str | None) -> int:
    """`expected`: the decision that a check wants."""
    try:
        with AdminClient(server, process_environment(), timeout) as client:
            answer = client.send("POST", "/admin/config/trace", request)
    except CannotCall as failure:
        say(f"error: {failure}")
        return failure.code
    if answer.status_code != 200:
        say(f"error: {detail_of(answer)}")
        return ExitCode.REJECTED if answer.status_code in (400, 403, 422) else ExitCode.REMOTE
    found = answer.json()
    result(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    decision = found["admission"]["decision"]
    if expected is not None and decision != expected:
        say(f"error: the decision is {decision}, and {expected} was expected")
        return ExitCode.REJECTED
    return ExitCode.OK
