"""Work shared by processes and machines: how much faster two workers are, and what is lost with a killed one."""
