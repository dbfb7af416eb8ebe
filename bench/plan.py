"""How long and how often: a full run for numbers that are quoted, a quick one to see that everything works."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    quick: bool
    rounds: int
    big_objects: int
    """64 MiB objects per server and round."""
    small_requests: int
    """Per server, method and round."""
    durable_puts: int
    """Per round."""
    users: int
    listed_keys: int
    clients: int
    client_bytes: int


FULL = Plan(
    quick=False,
    rounds=5,
    big_objects=3,
    small_requests=12_000,
    durable_puts=200,
    users=10_000,
    listed_keys=100_000,
    clients=50,
    client_bytes=100_000_000,
)
QUICK = Plan(
    quick=True,
    rounds=2,
    big_objects=1,
    small_requests=3_000,
    durable_puts=40,
    users=1_000,
    listed_keys=5_000,
    clients=8,
    client_bytes=20_000_000,
)
