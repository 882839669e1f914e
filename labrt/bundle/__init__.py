"""Bundles: a container as the OCI's engines hand it over, a folder with `config.json` and a root
file system (https://github.com/opencontainers/runtime-spec, bundle.md and config.md).

    config.json ──reading.py──▶ checked values ──declaring.py──▶ Spec ──▶ the one recipe

A field that the specification has and the lab hasn't is refused by name; a field that the
specification hasn't is passed over, as it demands (config.md, "Extensibility").
"""
