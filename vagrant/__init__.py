"""The lab machine without Vagrant, and the way of the work out of it; box/ builds its disk."""
