"""The tables of a report, the same in HTML, Markdown and JSON."""
