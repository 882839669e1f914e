"""JupyterHub for a class on one server: vagrant/class.sh hub."""
