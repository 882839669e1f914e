"""Solution of the exercise bad-02."""

import os
import select

import labrt

mine = labrt.run("busybox", ["sleep", "600"], hostname=labrt.draw("bad-02"))
descriptor = select.epoll()
descriptor.register(os.pidfd_open(mine.pid), select.EPOLLIN)
