"""What tests expect of answers that are no successes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError

from tests.integration.wire import Answer


@contextmanager
def refused(code: str, status: int) -> Iterator[None]:
    """The SDK call inside must fail with this code and status. A HEAD has no body, so its code is the status."""
    with pytest.raises(ClientError) as caught:
        yield
    response = caught.value.response
    found = (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"])
    assert found == (code, status), caught.value


def lacks(response: Mapping[str, object], name: str) -> bool:
    """Whether an answer has no such element; the types of the SDK say of too many that they are always there."""
    return name not in response


def check_refused(answer: Answer, code: str, status: int) -> None:
    assert (answer.status, answer.code) == (status, code), answer
    assert answer.headers["content-type"] == "application/xml"
    assert answer.element("RequestId") == answer.headers["x-amz-request-id"]
    assert answer.element("Message")
