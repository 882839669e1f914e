"""More than one host: a scheduler of Dask, a worker on each host, and a bench that hands them the
plan's trials (docs/cluster.md).

Dask is an optional extra: it is imported in this package alone, and only by who uses it.
"""
