"""Solution of the exercise net-01."""

import labrt

serve = ["httpd", "-f", "-p", labrt.draw("net-01")]
first = labrt.run("busybox", serve)
second = labrt.run("busybox", serve)
