"""Solution of the exercise memory-02."""

import time

import labrt

loop = f"for n in $(seq {labrt.draw('memory-02')}); do tail -c 64m /dev/zero; done"
script = f"{loop}; exec sleep 600"
survivor = labrt.run("busybox", ["sh", "-c", script], memory="32m", memory_swap="32m")
while survivor.cgroup.oom_kills() < int(labrt.draw("memory-02")):
    time.sleep(0.1)
