from itertools import product
from pathlib import Path

import pytest

from deltaglider_proxy.config.search import candidates, find

PRESENT = list(product([False, True], repeat=6))


@pytest.mark.parametrize("present", PRESENT)
@pytest.mark.parametrize("variable", [False, True])
def test_the_first_place_that_exists_is_used(tmp_path: Path, present: tuple[bool, ...], variable: bool) -> None:
    cwd, system = tmp_path / "cwd", tmp_path / "etc"
    cwd.mkdir()
    system.mkdir()
    places = candidates(cwd, system)
    for place, exists in zip(places, present, strict=True):
        if exists:
            place.write_text("{}")
    environ = {"DGP_CONFIG": "elsewhere.yaml"} if variable else {}
    expected = next((place for place, exists in zip(places, present, strict=True) if exists), None)
    assert find(None, environ, cwd, system).path == (cwd / "elsewhere.yaml" if variable else expected)


def test_the_argument_comes_before_the_variable(tmp_path: Path) -> None:
    assert find("a.yaml", {"DGP_CONFIG": "b.yaml"}, tmp_path, tmp_path).path == tmp_path / "a.yaml"
    assert find("/a.yaml", {}, tmp_path, tmp_path).path == Path("/a.yaml")


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    assert find(None, {"DGP_CONFIG": ""}, tmp_path, tmp_path).path is None


def test_a_toml_file_beside_yaml_is_mentioned(tmp_path: Path) -> None:
    (tmp_path / "deltaglider_proxy.yaml").touch()
    (tmp_path / "deltaglider_proxy.toml").touch()
    assert find(None, {}, tmp_path, tmp_path).hidden_toml == tmp_path / "deltaglider_proxy.toml"


def test_the_order_of_places() -> None:
    assert [str(path) for path in candidates(Path())] == [
        "deltaglider_proxy.yaml",
        "deltaglider_proxy.yml",
        "deltaglider_proxy.toml",
        "/etc/deltaglider_proxy/config.yaml",
        "/etc/deltaglider_proxy/config.yml",
        "/etc/deltaglider_proxy/config.toml",
    ]
