"""Code shared by all projects; independent of any concrete dataset, network or task."""
