"""The demo's files: small, real, and the same bytes on every machine."""

import io
import zipfile
from typing import Final

_DATE: Final = (2025, 1, 20, 9, 0, 0)
_CONTAINER: Final = (
    '<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="guide.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
_PACKAGE: Final = (
    '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id"><metadata '
    'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">urn:demo:guide</dc:identifier><dc:title>Riding '
    "guide</dc:title><dc:language>en</dc:language>"
    '<meta property="dcterms:modified">2025-01-20T09:00:00Z</meta></metadata><manifest>'
    '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/></manifest><spine>'
    '<itemref idref="nav"/></spine></package>'
)
_NAVIGATION: Final = (
    '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><head>'
    '<title>Riding guide</title></head><body><nav epub:type="toc"><ol><li><a href="nav.xhtml">Bend your knees</a></li>'
    "</ol></nav></body></html>"
)
_SILENT_FRAME: Final = b"\xff\xfb\x90\xc4" + bytes(413)  # MPEG-1 layer III, 128 kbit/s, 44.1 kHz: 26 ms


def mp3() -> bytes:
    """Two seconds of silence."""
    return _SILENT_FRAME * 77


def pdf() -> bytes:
    """One page with one sentence."""
    words = b"BT /F1 24 Tf 72 720 Td (Bend your knees.) Tj ET"
    bodies = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%b\nendstream" % (len(words), words),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )
    written, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        offsets.append(len(written))
        written += b"%d 0 obj%b endobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    start = len(written)
    written += b"xref\n0 6\n0000000000 65535 f \n" + table
    return written + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % start


def epub() -> bytes:
    """A book of one page."""
    book = io.BytesIO()
    with zipfile.ZipFile(book, "w", zipfile.ZIP_STORED) as archive:
        for name, content in (
            ("mimetype", "application/epub+zip"),  # first and not compressed (OCF 3, section 4)
            ("META-INF/container.xml", _CONTAINER),
            ("guide.opf", _PACKAGE),
            ("nav.xhtml", _NAVIGATION),
        ):
            archive.writestr(zipfile.ZipInfo(name, _DATE), content)
    return book.getvalue()


def text() -> bytes:
    """A care sheet."""
    return b"Rinse with water. Do not leave in the sun: that is our job.\n"
