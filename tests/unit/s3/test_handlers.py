from deltaglider_proxy.s3.handlers import HANDLERS
from deltaglider_proxy.s3.protocol.operations import OPERATIONS


def test_every_operation_has_a_handler_and_every_handler_an_operation() -> None:
    assert {row.handler for row in OPERATIONS} == set(HANDLERS)
