"""Solution of the exercise vm-01."""

import labrt
from bench import in_notebook

mine = in_notebook.start(f"{labrt.draw('vm-01')}m", cpus=2)
