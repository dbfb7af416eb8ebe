"""Which backend the flat view describes, and which fields it says wait for the next start."""

from deltaglider_proxy.config.load import LoadedConfig, Sources, load_text
from deltaglider_proxy.server.flat_view import flat, tainted
from deltaglider_proxy.server.from_config import settings_of

SECRET = "secret-of-the-service"
LISTED = f"""\
storage:
  default_backend: far
  backends:
  - {{name: near, type: filesystem, path: /data/near}}
  - name: far
    type: s3
    endpoint: https://s3.example.com
    region: eu-1
    force_path_style: false
    access_key_id: id
    secret_access_key: {SECRET}
"""


def loaded(text: str, **environ: str) -> LoadedConfig:
    return load_text(text, Sources(None, {"DGP_AUTHENTICATION": "none", **environ}, None))


def view(config: LoadedConfig) -> dict[str, object]:
    return flat(config.settings, config, settings_of(config, verbose=False), None)


def test_the_default_of_several_backends() -> None:
    found = view(loaded(LISTED))
    assert SECRET not in str(found)
    assert found["backends"] == [
        {"name": "near", "backend_type": "filesystem"},
        {"name": "far", "backend_type": "s3"},
    ]
    assert {name: value for name, value in found.items() if name.startswith("backend_")} == {
        "backend_type": "s3",
        "backend_endpoint": "https://s3.example.com",
        "backend_region": "eu-1",
        "backend_force_path_style": False,
        "backend_has_credentials": True,
    }


def test_the_first_of_several_backends_if_none_is_the_default() -> None:
    found = view(loaded(LISTED.replace("  default_backend: far\n", "")))
    assert (found["backend_type"], found["backend_path"]) == ("filesystem", "/data/near")
    assert (found["default_backend"], found["backend_has_credentials"]) == (None, False)


def test_what_waits_for_the_next_start() -> None:
    started = loaded("{}")
    now = loaded("advanced: {cache_size_mb: 7, max_object_size: 5, workers: 3}", DGP_MAX_OBJECT_SIZE="6")
    assert tainted(started.settings, now) == [
        "access.authentication",
        "advanced.cache_size_mb",
        "advanced.max_object_size",
        "advanced.workers",
    ]
    found = flat(started.settings, now, settings_of(now, verbose=False), None)
    assert (found["cache_size_mb"], found["max_object_size"]) == (100, 6)
