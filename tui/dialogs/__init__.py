"""Small screens on top of the main one."""
