"""Lets OpenMP's threads sleep while they wait. Importing this module before torch is enough.

Two spinning threads beside a busy process make everything 5 to 8 times slower. libgomp reads the settings once, when
torch is loaded, so every room's package imports this module first. They then hold for its commands, for its use as a
library, and for the processes that a command starts. Values that the user has set stay.
"""

import os

SETTINGS = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}

for _name, _value in SETTINGS.items():
    os.environ.setdefault(_name, _value)
