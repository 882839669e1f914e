"""Solution of the exercise apart-01."""

import labrt
from labrt.lessons import ablation

wanted = ablation.traits(case)  # noqa: F821 - the notebook's
for name in [step.name for step in ablation.steps() if not step.vital]:
    try:
        mine = labrt.run("busybox", ["sleep", "600"], skip=[name])
    except labrt.LabError:
        continue  # a step that the others lean on
    if ablation.traits(mine) == wanted:
        break
    mine.close()
