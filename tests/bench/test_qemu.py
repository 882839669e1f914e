"""bench/qemu.py: a network card where one is asked for, said twice and the same."""

from __future__ import annotations

import re
import shlex

import pytest

from bench import hypervisor, qemu
from bench.bridge_port import Port
from bench.hypervisor import Hypervisor
from bench.qemu import Machine
from tests.bench.conftest import some_machine

PORT = Port("lab-vm-1", "labnic-0", "labbr-0", "10.201.0.2", 20, "10.201.0.1", -1)
MAC = "02:42:0a:c9:00:02"


def machine(port: Port | None) -> Machine:
    return some_machine(tap=port)


def test_the_card_is_the_only_thing_more() -> None:
    bare, joined = (qemu.domain_xml(machine(port)) for port in (None, PORT))
    word = " lab.net=10.201.0.2/20,10.201.0.1"
    assert re.sub(r" +<interface.*</interface>\n", "", joined, flags=re.S).replace(
        word, ""
    ) == bare.replace(word, "")
    assert "interface" not in bare and "netdev" not in qemu.arguments(machine(None))
    assert joined.count("<interface") == joined.count(word) == 1


def test_its_address_stands_before_the_words_of_the_entry_point() -> None:
    line = qemu.command_line(machine(None).setup, ("serve:0.0.0.0",), PORT)
    assert line.endswith(" lab.net=10.201.0.2/20,10.201.0.1 -- serve:0.0.0.0")


@pytest.mark.skipif(hypervisor.no_libvirt() is not None, reason=str(hypervisor.no_libvirt()))
def test_libvirt_and_the_lab_tell_qemu_of_the_same_card() -> None:
    with Hypervisor() as host:
        told = shlex.split(host.native_arguments(qemu.domain_xml(machine(PORT))))
    for arguments in (told, qemu.arguments(machine(PORT))):
        card = arguments[[*arguments].index("-netdev") + 3]
        assert "virtio-net-pci" in card and MAC in card
