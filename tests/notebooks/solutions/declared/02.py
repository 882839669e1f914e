"""Solution of the exercise declared-02."""

import labrt
from labrt.lessons import declared

mine = declared.folder() / "mine.toml"
before, after = labrt.draw("declared-01"), labrt.draw("declared-02")
mine.write_text(mine.read_text().replace(before, after, 1))
labrt.apply(mine)
