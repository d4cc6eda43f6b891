"""Lets OpenMP's threads sleep while they wait; to import this module is enough, before torch is imported.

Two spinning threads beside a busy process make everything 5 to 8 times slower. libgomp reads the settings once, when
torch is loaded, so every room's package imports this module first: then they are set for its commands, for a library's
use of it, and for the processes that a command starts. Values that the user has set are left.
"""

import os

SETTINGS = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}

for _name, _value in SETTINGS.items():
    os.environ.setdefault(_name, _value)
