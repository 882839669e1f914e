"""labrt/limits.py: what users of Docker write becomes cgroup v2's files, or is refused."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from labrt import limits
from labrt.errors import LabError
from labrt.options import given


def resources(**wishes: object) -> dict[str, str]:
    return limits.resources(given(**wishes))


@pytest.mark.parametrize(
    ("wishes", "files"),
    [
        ({"memory": "64m"}, {"memory.max": "67108864"}),
        ({"memory_reservation": "1k"}, {"memory.low": "1024"}),
        ({"memory": "1m", "memory_swap": "3m"}, {"memory.swap.max": "2097152"}),
        ({"memory": "1m", "memory_swap": "1m"}, {"memory.swap.max": "0"}),
        ({"memory": "1m", "memory_swap": "-1"}, {"memory.swap.max": "max"}),
        ({"cpus": 1.5}, {"cpu.max": "150000 100000"}),
        ({"cpu_shares": 2}, {"cpu.weight": "1"}),
        ({"cpu_shares": 1024}, {"cpu.weight": "100"}),
        ({"cpu_shares": 262144}, {"cpu.weight": "10000"}),
        ({"cpuset_cpus": "0"}, {"cpuset.cpus": "0"}),
        ({"cpuset_mems": "0"}, {"cpuset.mems": "0"}),
        ({"pids_limit": 7}, {"pids.max": "7"}),
        ({"pids_limit": "-1"}, {"pids.max": "max"}),
        ({"blkio_weight": 300}, {"io.weight": "300"}),
        ({"cgroup_conf": ["memory.high=9m"]}, {"memory.high": "9437184"}),
        ({"cgroup_conf": ["memory.oom.group=0"]}, {"memory.oom.group": "0"}),
        ({"cgroup_conf": ["cpu.max=max"]}, {"cpu.max": "max"}),
        ({}, {}),
    ],
)
def test_a_wish_becomes_a_file_and_its_value(
    wishes: dict[str, object], files: dict[str, str]
) -> None:
    assert resources(**wishes).items() >= files.items()
    assert len(resources(**wishes)) == len(wishes)


def test_swap_counts_from_the_memory_limit_that_holds_already() -> None:
    wishes = given(memory_swap="3m")
    assert limits.resources(wishes, {"memory.max": "1048576"}) == {"memory.swap.max": "2097152"}


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"memory": "99999999999g"}, "set the memory limit to '99999999999g': not a size"),
        ({"memory_swap": "1g"}, "memory alone has no limit. Remedy: give --memory, too"),
        ({"memory": "2m", "memory_swap": "1m"}, "less than the memory limit"),
        ({"cpu_shares": "1"}, "set the CPU shares to '1': not a whole number from 2 to 262144"),
        ({"cpuset_cpus": "0-4095"}, "use the CPUs '0-4095': this host has 0"),
        ({"cpuset_cpus": "1-0"}, "use the CPUs '1-0': this host has 0"),
        ({"cpuset_cpus": "all"}, "use the CPUs 'all': not a list. Remedy: write 0-1 or 0,2"),
        ({"cpuset_mems": "64"}, "use the memory nodes '64': this host has 0"),
        ({"pids_limit": "0"}, "set the limit of processes to '0': not a whole number"),
        ({"blkio_weight": "5"}, "not a whole number from 10 to 1000"),
        ({"device_read_bps": ["/dev/null:1m"]}, "limit the device '/dev/null': not a block device"),
        ({"device_read_bps": ["/dev/none:1m"]}, "limit the device '/dev/none': ENOENT"),
        ({"device_write_iops": ["/dev/sda:fast"]}, "the rate of '/dev/sda' to 'fast': not a whole"),
        ({"device_write_bps": ["/dev/sda"]}, "the rate of '' to '/dev/sda': not a size"),
        ({"cgroup_conf": ["memory.high"]}, "set 'memory.high': not FILE=VALUE"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line(wishes: dict[str, object], said: str) -> None:
    with pytest.raises(LabError) as caught:
        resources(**wishes)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def block_device(*, partition: bool) -> Path:
    """Some block device of this host, or a skip."""
    for entry in Path("/sys/class/block").iterdir():
        node = Path("/dev", entry.name)
        here = node.exists() and stat.S_ISBLK(node.stat().st_mode)
        if here and (entry / "partition").exists() == partition:
            return node
    pytest.skip(f"this host has no {'partition' if partition else 'disk'} in /dev")


def test_rates_of_one_disk_share_a_line_that_begins_with_its_number() -> None:
    disk = block_device(partition=False)
    number = Path("/sys/class/block", disk.name, "dev").read_text().strip()
    wishes = {"device_read_bps": [f"{disk}:1m"], "device_write_iops": [f"{disk}:100"]}
    assert resources(**wishes) == {"io.max": f"{number} rbps=1048576 wiops=100"}


def test_a_partition_is_refused_and_its_disk_named() -> None:
    part = block_device(partition=True)
    with pytest.raises(LabError, match=r"a partition\. Remedy: name its disk, /dev/"):
        resources(device_read_bps=[f"{part}:1m"])
