"""QR codes for a page: a picture in its address, which no script and no other request is needed for."""

import segno

MOST = 2000  # characters


def picture(text: str) -> str:
    """A data: address, empty for what is too long. Blocking: some ten milliseconds."""
    if len(text) > MOST:
        return ""
    return segno.make(text, error="m").svg_data_uri(scale=5, border=3, dark="#000", light="#fff")
