"""labrt/declare.py: what an image asks for holds unless the user asks for something else."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import labrt
from labrt.declare import declare
from labrt.errors import LabError
from labrt.images import documents, store
from labrt.images.store import Image
from labrt.options import given
from labrt.spec import HealthCheck, Spec
from tests.labrt.building.test_build import build_here
from tests.labrt.test_handle import detached

pytestmark = pytest.mark.usefixtures("nothing_left")

WISHES = """
FROM busybox
RUN mkdir /data /cache && echo image > /data/file
VOLUME /data /cache
STOPSIGNAL SIGUSR1
HEALTHCHECK --interval=20ms --timeout=3s --start-period=1m --retries=2 CMD ["test", "-e", "/well"]
"""


@pytest.fixture(scope="module")
def image(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build_here(tmp_path_factory.mktemp("context"), WISHES)


def declared(image: Image, **options: Any) -> Spec:
    return declare(image, ["true"], given(**options))


def test_an_image_says_how_its_health_is_asked(image: Image) -> None:
    check = HealthCheck(("test", "-e", "/well"), 0.02, 3.0, 60.0, 2)
    assert declared(image).life.health == check
    assert declared(image, health_retries=5).life.health == replace(check, retries=5)
    own = replace(check, args=("/bin/sh", "-c", "true"), start_period=0.0)
    assert declared(image, health_cmd="true", health_start_period=0).life.health == own
    assert declared(image, no_healthcheck=True).life.health == HealthCheck()


def test_an_image_names_the_signal_that_stops_it(image: Image) -> None:
    assert declared(image).life.stop_signal == "SIGUSR1"
    assert declared(image, stop_signal="INT").life.stop_signal == "SIGINT"


def test_an_image_has_volumes_which_hold_what_it_has_there(image: Image) -> None:
    script = "cat /data/file; grep -cE ' /(data|cache) ' /proc/self/mountinfo; echo > /data/new"
    assert labrt.output("built", ["sh", "-c", script]).split() == ["image", "2"]
    assert labrt.output("built", ["ls", "/data"]) == "file\n", "a volume of each container's own"


def test_the_user_may_lay_something_else_there(image: Image, tmp_path: Path) -> None:
    (tmp_path / "given").touch()
    tmp_path.chmod(0o755)
    options = {"volume": [f"{tmp_path}:/data:ro"], "tmpfs": ["/cache"]}
    assert labrt.output("built", ["ls", "/data"], **options) == "given\n"
    targets = [mount.destination for mount in declared(image, **options).mounts]
    assert targets.count("/data") == targets.count("/cache") == 1


def test_what_a_build_step_writes_into_a_volume_is_the_layers(image: Image, tmp_path: Path) -> None:
    build_here(tmp_path, "FROM built\nRUN echo more > /data/more")
    assert labrt.output("built", ["ls", "/data"]).split() == ["file", "more"]


def test_a_failure_within_the_start_period_does_not_count() -> None:
    check = {"health_cmd": "false", "health_interval": "10ms", "health_retries": 1}
    with detached("sleep", "60", **check, health_start_period="60") as handle:
        with handle.exec(["sleep", "0.2"]) as meanwhile:
            meanwhile.wait()  # it has been asked a dozen times
        assert handle.status.health == "starting"


def with_settings(image: Image, **settings: Any) -> Image:
    return replace(image, config={**image.config, "config": settings})


def test_an_images_volume_is_a_folder_of_the_containers_whatever_it_is_called(image: Image) -> None:
    hostile = with_settings(image, Volumes={"/etc:/host": {}, "/data/": {}, "/data": {}})
    mounts = [mount for mount in declared(hostile).mounts if mount.type in ("bind", "volume")]
    assert {(m.type, m.destination) for m in mounts} == {
        ("volume", "/etc:/host"),
        ("volume", "/data"),
    }
    assert len(mounts) == 2
    assert all("/containers/lab-" in mount.source for mount in mounts)
    with pytest.raises(LabError, match="isn't absolute"):
        declared(with_settings(image, Volumes={"data": {}}))
    config = {"rootfs": {"diff_ids": []}, "config": {"Volumes": {"/a\0b": {}}}}
    with pytest.raises(LabError, match="a damaged or hostile image"):
        store.configuration(documents.read(json.dumps(config).encode(), "it"), 0)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"Test": None},
        {"Test": []},
        {"Test": ["CMD"]},
        {"Test": ["CMD-SHELL"]},
        {"Test": ["X", "y"]},
    ],
)
def test_a_health_check_that_names_no_command_is_none(image: Image, told: dict[str, Any]) -> None:
    told = {**told, "Interval": None, "Timeout": 0, "Retries": None}
    assert with_settings(image, Healthcheck=told).health == HealthCheck()


@pytest.mark.parametrize(
    "told",
    [
        {"Test": "true"},
        {"Test": [1]},
        {"Interval": "1s"},
        {"Interval": -1},
        {"Interval": 1},
        {"Retries": 1.5},
        [],
    ],
)
def test_a_hostile_image_is_told(told: Any) -> None:
    config = {"rootfs": {"diff_ids": []}, "config": {"Healthcheck": told}}
    with pytest.raises(LabError, match="a damaged or hostile image"):
        store.configuration(documents.read(json.dumps(config).encode(), "it"), 0)


def test_a_volume_may_be_given_relative_to_the_callers_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "given").touch()
    monkeypatch.chdir(tmp_path)
    source = declare(store.resolve("busybox"), ["true"], given(volume=["./given:/it"])).mounts[-1]
    assert (source.destination, source.source) == ("/it", str(tmp_path / "given"))


def test_variables_may_be_a_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "variables"
    file.write_text("# a comment\n\nA=1\nB=of file\nLAB_TEST\n")
    monkeypatch.setenv("LAB_TEST", "ours")
    spec = declare(store.resolve("busybox"), ["true"], given(env_file=[file], env=["B=2"]))
    assert set(spec.process.env) >= {"A=1", "LAB_TEST=ours"}
    assert labrt.output("busybox", ["sh", "-c", "echo $B"], env_file=[file], env=["B=2"]) == "2\n"
    assert os.environ["LAB_TEST"] == "ours"
