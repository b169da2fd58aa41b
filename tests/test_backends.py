"""The recipes in backends/: as far as it can be said without a Docker engine, they hold together."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from coldspan_testing import jaeger
from coldspan_testing.cache import CHECKOUT

BACKENDS = CHECKOUT / "backends"
COMPOSE_FILES = sorted(BACKENDS.glob("*/compose.yaml"))
GRAFANA = BACKENDS / "grafana"


def load(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def services() -> dict[str, tuple[Path, dict[str, Any]]]:
    """Each service by its name, with the folder of its compose file."""
    return {name: (path.parent, service) for path in COMPOSE_FILES for name, service in load(path)["services"].items()}


def published(service: dict[str, Any]) -> list[list[str]]:
    """Address, port here, port in the container."""
    return [port.split(":") for port in service["ports"]]


@pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.parent.name)
def test_a_compose_file_follows_the_compose_specifications_schema(path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_image_has_one_version_and_every_port_is_on_loopback() -> None:
    assert set(services()) == {"jaeger", "tempo", "grafana"}
    for _, service in services().values():
        assert re.fullmatch(r"[a-z]+/[a-z]+:\d+\.\d+\.\d+", service["image"])
        assert {address for address, _, _ in published(service)} == {"127.0.0.1"}


def test_what_is_mounted_is_there() -> None:
    for folder, service in services().values():
        sources = [mount.split(":")[0] for mount in service.get("volumes", [])]
        volumes = load(folder / "compose.yaml").get("volumes", {})
        assert all((folder / source).exists() for source in sources if source not in volumes)


def test_both_recipes_take_otlp_at_the_usual_ports() -> None:
    for name in ("jaeger", "tempo"):
        ports = published(services()[name][1])
        assert {(here, there) for _, here, there in ports} >= {("4317", "4317"), ("4318", "4318")}
    protocols = load(GRAFANA / "tempo.yaml")["distributor"]["receivers"]["otlp"]["protocols"]
    assert {name: each["endpoint"] for name, each in protocols.items()} == {
        "grpc": "0.0.0.0:4317",
        "http": "0.0.0.0:4318",
    }


def test_grafana_finds_tempo_and_the_dashboards() -> None:
    (source,) = load(GRAFANA / "provisioning" / "datasources" / "tempo.yaml")["datasources"]
    assert source["url"] == f"http://tempo:{load(GRAFANA / 'tempo.yaml')['server']['http_listen_port']}"
    (provider,) = load(GRAFANA / "provisioning" / "dashboards" / "coldspan.yaml")["providers"]
    mounts = [mount.split(":")[:2] for mount in services()["grafana"][1]["volumes"]]
    assert ["./dashboards", provider["options"]["path"]] in mounts
    assert ["./provisioning", "/etc/grafana/provisioning"] in mounts


def test_tempo_writes_only_into_its_volume_and_reads_the_mounted_file() -> None:
    (_, service) = services()["tempo"]
    mounts = dict(reversed(mount.split(":")[:2]) for mount in service["volumes"])
    assert service["command"] == ["-config.file=/etc/tempo.yaml"]
    assert mounts["/etc/tempo.yaml"] == "./tempo.yaml"
    assert mounts["/var/tempo"] == "tempo"
    paths = re.findall(r"path: (\S+)", (GRAFANA / "tempo.yaml").read_text())
    assert len(paths) == 4
    assert all(path.startswith("/var/tempo/") for path in paths)


def test_the_recipes_jaeger_is_the_release_that_the_tests_build() -> None:
    """Jaeger numbers a release twice: 1.N of the old commands is 2.(N - 63) of the new one."""
    minor = int(jaeger.VERSION.split(".")[1])
    assert services()["jaeger"][1]["image"].endswith(f":2.{minor - 63}.0")
