"""Which codecs this build can read and write."""

from deltaglider_proxy.codecs.container import Codec


def names() -> list[str]:
    """Names of the frame codecs, in the order of their numbers."""
    return [codec.name.lower().replace("_", "-") for codec in Codec]
