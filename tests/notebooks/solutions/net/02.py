"""Solution of the exercise net-02."""

import subprocess

import labrt
from labrt.lessons.entering import nsenter

hub = labrt.run("busybox", ["sleep", "600"], name="hub")
ends = [labrt.run("busybox", ["sleep", "600"], userns="container:hub") for _ in range(2)]
link = "ip link set dev"
script = "ip link add br0 type bridge; ip link set br0 up"
for number, end in enumerate(ends):
    script += f"""
    ip link add port{number} type veth peer name eth0 netns {end.pid}
    {link} port{number} master br0
    {link} port{number} up
    """
subprocess.run([*nsenter(hub, "net", root=True), "sh", "-c", script], check=True)
network = labrt.draw("net-02").removesuffix(".7")
for host, end in zip((7, 8), ends, strict=True):
    script = f"ip address add {network}.{host}/24 dev eth0; {link} eth0 up"
    subprocess.run([*nsenter(end, "net", root=True), "sh", "-c", script], check=True)
