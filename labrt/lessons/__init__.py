"""Lessons: what the notebooks use beside the runtime itself; no container needs it.

    course/        one file per lesson: what is predicted, what is drawn, what is checked
    lesson.py      what a lesson is made of, and finding its parts by their ids
    notebook.py    begin and clean_up: the first and the last cell
    needs.py       what a lesson needs of this host, found out by trying
    predictions.py predict before anything runs, then see whether it came so
    checks.py      exercises: values drawn per student, checks, hints
    drawn.py       values for exercises, drawn per student
    observe.py     the kernel's state of processes and containers, seen from the host
    diagrams.py    pictures and tables drawn from that state
    snapshots.py   before and after: what has changed between two looks
    sharing.py     two containers in one namespace
    trees.py       who is whose parent, drawn
    entering.py    programs of the host's in namespaces of another process
    id_maps.py     which ids inside are which outside, drawn
    interfaces.py  the network interfaces of namespaces, and their cables, drawn
    ports.py       who listens on which port
    cgroup_names.py what a process's cgroups are called from here and from inside, drawn
    rights.py      capabilities and system call filters of processes, drawn
    layer_stack.py the folders that a container's root is made of, drawn
    linked.py      a program and its libraries, each as the tree of one layer
    mount_table.py what is mounted where, as a table and drawn
    small_root.py  a folder that can be a root, for what is done by hand
    queues.py      System V IPC objects of an ipc namespace
    limited.py     containers with limits, which some hosts refuse
    live.py        what a container uses, drawn while it runs
    groups.py      cgroups: which ones a process is in, what a container's files say
    by_hand.py     cgroups made by hand: where, which, and their removal
    bomb.py        a fork bomb, under a limit that the kernel has confirmed
    disks.py       the disk that files lie on, and how long a copy takes in a container
    graph.py       a picture of boxes and arrows, for JupyterLab and for the book
    image_parts.py what an image is made of, by digest, drawn
    machines.py    virtual machines: QEMU processes, drawn
    ablation.py    a recipe with one step left out at a time
    declared.py    containers that a file declares: wanted and found, drawn
    recipes.py     the steps of a container that runs, with their times
    ledger.py      the student's record
    shown.py       text for people, plain and as Markdown

A check looks at the kernel, never at the student's code.
"""
