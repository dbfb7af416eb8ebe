"""A request as the admission chain sees it, and what its decision means for the request."""

from dataclasses import replace

from deltaglider_proxy.access.admission.chain import CONTINUE, Decision, Facts, Verdict
from deltaglider_proxy.access.authenticator import Moment
from deltaglider_proxy.access.client_address import Address
from deltaglider_proxy.access.errors import AccessError, Reason
from deltaglider_proxy.access.sigv4 import is_signed
from deltaglider_proxy.access.state import AccessState
from deltaglider_proxy.s3.protocol import operations
from deltaglider_proxy.s3.protocol.copy_source import parse_copy_source
from deltaglider_proxy.s3.protocol.operations import Operation, Shows
from deltaglider_proxy.s3.protocol.request import Request, parse_request


def facts_of(request: Request, operation: Operation, address: Address | None) -> Facts:
    return Facts(
        method=request.method,
        bucket=request.bucket,
        key=request.key,
        list_prefix=request.parameters.get("prefix", ""),
        authenticated=is_signed(request.query, request.headers),
        address=address,
        lists=operation.shows is Shows.NAMES,
        plain=operation.shows is not None,
    )


def resolve_request(method: str, path: str, query: str, *, authenticated: bool, address: Address | None) -> Facts:
    """What a request would be, for whoever wonders. Raises S3Error for one that is none."""
    request = parse_request(method, path.encode(), query.encode(), [])
    facts = facts_of(request, operations.match(request), address)
    return replace(facts, bucket=facts.bucket.lower(), authenticated=authenticated or facts.authenticated)


def admit(state: AccessState, request: Request, operation: Operation, at: Moment) -> Decision:
    """Raises AccessError(BLOCKED), or Rejected with the answer that an operator's rule gives."""
    if state.admission.idle:
        return CONTINUE
    decision = _judge(state, facts_of(request, operation, at.address))
    if operation.source_action is not None:
        source = parse_copy_source(request.headers)
        admit_key(state, "GET", source.bucket, source.key, at)
    return decision


def admit_key(state: AccessState, method: str, bucket: str, key: str, at: Moment) -> None:
    """For keys that a request names elsewhere than in its path: each is admitted as a request of its own would be.
    Raises as `admit`.
    """
    if not state.admission.idle:
        _judge(state, Facts(method, bucket, key, "", authenticated=True, address=at.address))


def _judge(state: AccessState, facts: Facts) -> Decision:
    decision = state.admission.decide(facts, state.flags)
    match decision.verdict:
        case Verdict.DENY:
            error = AccessError(Reason.BLOCKED, f"Access Denied by the admission block {decision.matched!r}.")
            error.block = decision.matched or ""
            raise error
        case Verdict.REJECT:
            raise Rejected(decision)
        case Verdict.CONTINUE | Verdict.ALLOW_ANONYMOUS:
            return decision


class Rejected(Exception):
    """The operator's own answer, which is no S3 error."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(f"rejected by the admission block {decision.matched!r}")
        self.decision = decision
