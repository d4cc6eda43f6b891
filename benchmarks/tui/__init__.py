"""The benchmark of the terminal UI: the program, its terminal, and the side of textual-fastdatatable."""
