"""`advanced.tls`: serving HTTPS without a proxy in front. What the files hold is judged by `config.certificates`."""

from collections.abc import Iterator

from deltaglider_proxy.config.findings import Finding, Keys, error, warning
from deltaglider_proxy.config.model import Model


class Tls(Model):
    enabled: bool = False
    """Serve HTTPS; without paths, with a self-signed certificate made at start."""
    cert_path: str | None = None
    """PEM file with the certificate and its chain."""
    key_path: str | None = None
    """PEM file with the private key."""


def check(tls: Tls | None) -> Iterator[Finding]:
    keys: Keys = ("advanced", "tls")
    if tls is None:
        return
    if bool(tls.cert_path) != bool(tls.key_path):
        missing = "key_path" if tls.cert_path else "cert_path"
        yield error((*keys, missing), "certificate and key come together", f"set {missing}, or remove the other path")
    if not tls.enabled and tls.cert_path and tls.key_path:
        yield warning((*keys, "enabled"), "the paths are unused, HTTP is served without TLS", "set enabled: true")
