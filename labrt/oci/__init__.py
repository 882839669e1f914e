"""The OCI face: labrt as the runtime that Podman, Docker and containerd start containers with.

    labrt-oci [--root DIR] [--log FILE] VERB …

The verbs and their options are runc's (its man pages, runc-create(8) and so on), for that is what
engines speak; their meaning is the runtime specification's (runtime.md). Each is one file in
`labrt/oci/verbs/`. The container is made by the same recipe as any other.
"""
