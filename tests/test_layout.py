"""The package imports as a whole: a broken or unreachable module would otherwise show only when it is used."""

import importlib
import pkgutil

import deltaglider_proxy


def test_every_module_imports() -> None:
    names = [m.name for m in pkgutil.walk_packages(deltaglider_proxy.__path__, "deltaglider_proxy.")]
    for name in names:
        if not name.endswith(("__main__", "migrations.env")):  # programs, not modules
            importlib.import_module(name)
    assert "deltaglider_proxy.storage.backend" in names
