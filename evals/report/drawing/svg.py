"""Turns matplotlib's SVG into one that may stand in a page with a strict policy and takes its colours from it.

The policy allows no style attributes, and they would fix the colours for dark and for light. So each becomes attributes
of its own, and the colours of `INK` become variables of the page.
"""

import io
import xml.etree.ElementTree as ET

from matplotlib import rc_context
from matplotlib.figure import Figure

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
INK = {
    "#010101": "var(--text)",
    "#020202": "var(--line)",
    "#030303": "var(--first)",
    "#040404": "var(--second)",
    "#050505": "var(--faint)",
}
"""The colours to draw with, and what they become."""
TEXT, LINE, FIRST, SECOND, FAINT = INK
ET.register_namespace("", SVG)
ET.register_namespace("xlink", XLINK)


def svg_of(figure: Figure, title: str) -> str:
    """Return the figure as an SVG element that is named for readers who do not see it."""
    buffer = io.StringIO()
    # Texts stay texts. The names of parts depend on the picture alone, so that the same figures give the same bytes.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    root = ET.fromstring(buffer.getvalue())
    for parent in root.iter():
        for child in [child for child in parent if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style")]:
            parent.remove(child)
    for element in root.iter():
        _without_style(element)
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", title)
    return ET.tostring(root, encoding="unicode")


def _without_style(element: ET.Element) -> None:
    for part in element.attrib.pop("style", "").split(";"):
        name, _, value = (word.strip() for word in part.partition(":"))
        if name == "font":  # `10px 'DejaVu Sans', ...`: the page has its own fonts
            element.set("font-size", value.split("px")[0])
        elif name:
            element.set(name, INK.get(value, value))
    for name in ("fill", "stroke"):
        if (colour := INK.get(element.get(name, ""))) is not None:
            element.set(name, colour)
    if element.tag == f"{{{SVG}}}text" and "fill" not in element.attrib:
        element.set("fill", INK[TEXT])
