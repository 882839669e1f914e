"""Solution of the exercise declared-01."""

import labrt
from labrt.lessons import declared

ONE = """
[{name}]
image = "busybox"
command = ["sleep", "36000"]
env = ["PLACE={place}"]
stop-timeout = 0
"""
place = labrt.draw("declared-01")
mine = declared.folder() / "mine.toml"
mine.write_text("".join(ONE.format(name=name, place=place) for name in ("one", "two")))
labrt.apply(mine)
