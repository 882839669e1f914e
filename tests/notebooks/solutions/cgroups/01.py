"""Solution of the exercise cgroups-01."""

import labrt

mine = labrt.run("busybox", ["sleep", "600"], pids_limit=20)
(file,) = mine.cgroup.paths_of("pids.max")
changed = file.write_text(labrt.draw("cgroups-01"))
