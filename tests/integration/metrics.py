"""The metrics of a server, as a scraper reads them."""

import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from tests.support.server import Server


def scrape(server: Server) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Values by name and sorted labels."""
    with urllib.request.urlopen(f"{server.endpoint}/_/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(server: Server, name: str, **labels: str) -> float:
    """The sum over all series of that name that have these labels."""
    return sum(
        value for (found, its), value in scrape(server).items() if found == name and labels.items() <= dict(its).items()
    )
