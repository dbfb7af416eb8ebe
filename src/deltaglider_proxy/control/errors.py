"""What can go wrong with the control plane's database.

ControlError
├── CannotOpen            it cannot be used at all
│   ├── WrongKey          the bootstrap hash (or key file) is another one: the locked state
│   ├── DatabaseTooNew    written by a later release
│   └── DatabaseUnavailable
├── Stale                 another process has replaced the database; open it anew
├── NotFound
├── AlreadyExists
└── Refused               a rule about what is stored
"""


class ControlError(Exception):
    pass


class CannotOpen(ControlError):
    pass


class WrongKey(CannotOpen):
    pass


class DatabaseTooNew(CannotOpen):
    pass


class DatabaseUnavailable(CannotOpen):
    pass


class Stale(ControlError):
    pass


class NotFound(ControlError):
    def __init__(self, kind: str, name: object) -> None:
        super().__init__(f"there is no {kind} {name!r}")
        self.kind = kind
        self.name = name


class AlreadyExists(ControlError):
    def __init__(self, kind: str, field: str, value: str) -> None:
        super().__init__(f"a {kind} with the {field} {value!r} exists already")
        self.kind = kind
        self.field = field
        self.value = value


class Refused(ControlError):
    """Says why."""
