"""A patch of one section, as the text of a whole document."""

from collections.abc import Iterator

from deltaglider_proxy.config import yaml_out
from deltaglider_proxy.config.findings import Keys
from deltaglider_proxy.config.load import LoadedConfig
from deltaglider_proxy.config.merge_patch import merge_section
from deltaglider_proxy.config.typing_errors import at


class NotAPatch(Exception):
    """Says why."""


def patched(running: LoadedConfig, section: str, patch: object) -> str:
    """The running file with the patch. Raises NotAPatch."""
    if not isinstance(patch, dict):
        raise NotAPatch(f"a patch of {section} is an object")
    data = dict(running.file_data)
    try:
        data[section] = merge_section(section, data.get(section, {}), patch)
        references = {
            keys: text
            for keys, text in running.references.items()
            if at(data, keys) is not None and at(data, keys) == at(running.file_data, keys)
        }
        references.update(_references_in(data, ()))
        return yaml_out.dump(data, references)
    except (TypeError, RecursionError) as error:
        raise NotAPatch(str(error)) from error


def _references_in(value: object, keys: Keys) -> Iterator[tuple[Keys, str]]:
    """Texts of a patch that are a reference to the environment as a whole."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _references_in(item, (*keys, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _references_in(item, (*keys, index))
    elif isinstance(value, str) and value.startswith("${env:") and value.endswith("}") and value.count("}") == 1:
        yield keys, value
