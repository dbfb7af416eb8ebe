"""What operators are given to watch a server with: alerts that fire, and a dashboard of metrics that exist."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deltaglider_proxy.telemetry.catalogue import FAMILIES, MetricType
from tests.support.programs import GoProgram, built
from tools.reference.metrics import metrics

PROMTOOL = GoProgram("promtool", "github.com/prometheus/prometheus/cmd/promtool", "v0.316.0")
ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
_NAME = re.compile(r"\b(?:deltaglider|process)_[a-z_]+\b")
_HISTOGRAMS = {family.name for family in FAMILIES if family.type is MetricType.HISTOGRAM}
EXPOSED = {family.name for family in FAMILIES if family.type is not MetricType.HISTOGRAM} | {
    f"{name}_{part}" for name in _HISTOGRAMS for part in ("bucket", "sum", "count")
}
LABELS = {label for family in FAMILIES for label in family.labels} | {"instance", "job", "le", "alertname"}


def promtool(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [built(PROMTOOL), *arguments], cwd=MONITORING, input=text, capture_output=True, text=True, check=False
    )


def panels() -> list[dict[str, Any]]:
    dashboard: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())
    found: list[dict[str, Any]] = dashboard["panels"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Of the dashboard, by the title of the panel, as Prometheus gets them."""
    for panel in panels():
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")


def rules() -> str:
    return (MONITORING / "alerts.yaml").read_text()


def test_the_rules_are_valid_and_each_alert_is_tested() -> None:
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = promtool("test", "rules", "alerts_test.yaml")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    tests = (MONITORING / "alerts_test.yaml").read_text()
    for alert in re.findall(r"- alert: DeltaGlider(\w+)", rules()):
        assert alert in tests, f"{alert} has no test"


def test_the_configuration_of_prometheus_is_valid() -> None:
    checked = promtool("check", "config", "--lint=all", "--lint-fatal", "prometheus.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_is_explained() -> None:
    page = (ROOT / "docs" / "how-to" / "monitor.md").read_text()
    explained = set(re.findall(r"`(DeltaGlider\w+)`", page))
    assert explained == set(re.findall(r"- alert: (\w+)", rules()))


def test_alerts_ask_for_metrics_that_exist() -> None:
    asked = set(_NAME.findall(rules()))
    assert len(asked) > 10
    assert asked <= EXPOSED


def test_the_dashboard_asks_for_metrics_and_labels_that_exist(tmp_path: Path) -> None:
    asked = list(expressions())
    assert len(asked) > 30
    lines = ["groups: [{name: dashboard, rules: ["]
    for number, (title, expression) in enumerate(asked):
        assert set(_NAME.findall(expression)) <= EXPOSED, title
        assert set(re.findall(r"(\w+)\s*[=!]~?\"", expression)) <= LABELS, title
        for grouped in re.findall(r"by \(([^)]*)\)", expression):
            assert set(re.split(r",\s*", grouped)) <= LABELS, title
        lines.append(json.dumps({"record": f"panel:{number}", "expr": expression}) + ",")
    path = tmp_path / "dashboard.yaml"
    path.write_text("\n".join([*lines, "]}]"]))
    checked = promtool("check", "rules", str(path))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_panels_do_not_overlap_and_are_told_apart() -> None:
    places: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert places.isdisjoint(cells), panel["title"]
        assert all(x < 24 for x, _ in cells), panel["title"]
        places |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_every_metric_is_in_the_manual() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    assert page == metrics(), "run: python -m tools.reference_pages"
    assert [family.name for family in FAMILIES if f"`{family.name}`" not in page] == []
