"""`advanced.event_delivery`: telling webhooks and Slack about changed objects."""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from deltaglider_proxy.config.duration import Duration
from deltaglider_proxy.config.findings import Finding, Keys, warning
from deltaglider_proxy.config.model import Many, Model, Uint
from deltaglider_proxy.config.replication import bad_globs
from deltaglider_proxy.config.secret import Secret

Kind = Literal[
    "ObjectCreated",
    "ObjectDeleted",
    "ObjectCopied",
    "ReplicationObjectCopied",
    "LifecycleTransitioned",
    "LifecycleExpired",
]
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class SlackRoute(Model):
    name: str | None = None
    """Label of the route."""
    bucket: str | None = None
    """Only this bucket."""
    prefix_globs: Many[str] = ()
    """Only keys that match one of these."""
    channel: str
    """Where matching events go."""


class EventDelivery(Model):
    enabled: bool = False
    """Whether events are delivered."""
    webhook_url: Secret | None = None
    """Where events are posted; whoever knows the URL can usually post, so it is kept as a secret."""
    webhook_urls: Many[Secret] = ()
    """More such URLs."""
    webhook_headers: Mapping[str, Secret] = {}
    """Headers sent along."""
    tick_interval: Duration = timedelta(seconds=10)
    """How often due events are looked for."""
    request_timeout: Duration = timedelta(seconds=5)
    """For one post."""
    retry_base: Duration = timedelta(seconds=5)
    """Wait after the first failure; doubles with each further one."""
    retry_max: Duration = timedelta(minutes=5)
    """Longest wait."""
    stale_claim_after: Duration = timedelta(seconds=60)
    """After which a silent worker loses its events."""
    delivered_retention: Duration = timedelta(hours=24)
    """How long delivered events are kept; 0s means forever."""
    batch_size: int = 50
    """Events per step; 1 to 500."""
    max_attempts: int = 8
    """Tries per event; at least 1."""
    delivered_max_rows: Uint = 10_000
    """Delivered events kept at most."""
    prune_batch: Uint = 100
    """Delivered events removed per step."""
    format: Literal["raw", "slack"] = "raw"
    """Body of the posts."""
    slack_bot_token: Secret | None = None
    """Post through Slack's API instead of a webhook."""
    slack_channel: str | None = None
    """Channel of events that no route matches."""
    slack_username: str | None = None
    """Name shown in Slack."""
    slack_icon_emoji: str | None = None
    """Icon shown in Slack."""
    slack_include_globs: Many[str] = ()
    """Only keys that match one of these."""
    slack_exclude_globs: Many[str] = ()
    """Never keys that match one of these."""
    slack_notify_kinds: Many[Kind] = ("ObjectCreated",)
    """Kinds of events that Slack gets."""
    slack_routes: Many[SlackRoute] = ()
    """Channels by bucket and key; with a bot token only."""

    @property
    def urls(self) -> tuple[Secret, ...]:
        """All webhook URLs that are not empty."""
        return tuple(url for url in (self.webhook_url, *self.webhook_urls) if url)


def check(section: EventDelivery | None) -> Iterator[Finding]:
    keys: Keys = ("advanced", "event_delivery")
    if section is None:
        return
    if section.enabled and not section.urls and not section.slack_bot_token:
        yield warning((*keys, "enabled"), "nothing is delivered without a webhook_url or a slack_bot_token")
    for place, url in (
        ((*keys, "webhook_url"), section.webhook_url),
        *(((*keys, "webhook_urls", index), url) for index, url in enumerate(section.webhook_urls)),
    ):
        if url and not _is_absolute(url.reveal()):
            yield warning(place, "must be an absolute http or https URL")
    for name, value in section.webhook_headers.items():
        if not _HEADER_NAME.fullmatch(name) or any(character in value.reveal() for character in "\r\n\0"):
            yield warning((*keys, "webhook_headers", name), "is no header that can be sent")
    if not 1 <= section.batch_size <= 500:
        yield warning((*keys, "batch_size"), "the nearest of 1 to 500 is used", value=section.batch_size)
    if section.max_attempts < 1:
        yield warning((*keys, "max_attempts"), "1 is used instead", value=section.max_attempts)
    if section.delivered_max_rows == 0 or section.prune_batch == 0:
        yield warning(keys, "with 0 in delivered_max_rows or prune_batch, the limit does not work")
    yield from _check_slack(section, keys)


def _check_slack(section: EventDelivery, keys: Keys) -> Iterator[Finding]:
    if section.slack_bot_token and not section.slack_channel and not section.slack_routes:
        yield warning((*keys, "slack_channel"), "a bot token needs a channel or routes")
    if section.slack_routes and not section.slack_bot_token:
        yield warning((*keys, "slack_routes"), "routes work with slack_bot_token only")
    globs = [
        (("slack_include_globs",), section.slack_include_globs),
        (("slack_exclude_globs",), section.slack_exclude_globs),
    ]
    for index, route in enumerate(section.slack_routes):
        if not route.channel:
            yield warning((*keys, "slack_routes", index, "channel"), "must not be empty")
        for number, problem in bad_globs(route.prefix_globs):
            place: Keys = (*keys, "slack_routes", index, "prefix_globs", number)
            yield warning(place, f"is no glob: it {problem}", value=route.prefix_globs[number])
    for field, patterns in globs:
        for number, problem in bad_globs(patterns):
            yield warning((*keys, *field, number), f"is no glob: it {problem}", value=patterns[number])


def _is_absolute(text: str) -> bool:
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return url.scheme in ("http", "https") and bool(url.hostname)
