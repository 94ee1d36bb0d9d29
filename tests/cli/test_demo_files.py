import io
import zipfile

from carryout.cli import demo_files


def test_the_book_begins_with_its_type() -> None:
    with zipfile.ZipFile(io.BytesIO(demo_files.epub())) as book:
        assert book.testzip() is None
        assert book.namelist()[0] == "mimetype"
        assert book.read("mimetype") == b"application/epub+zip"


def test_the_table_of_the_pdf_points_at_its_objects() -> None:
    pdf = demo_files.pdf()
    start = int(pdf.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    entries = pdf[start:].splitlines()[3:8]
    assert [pdf[int(entry[:10]) :].startswith(b"%d 0 obj" % number) for number, entry in enumerate(entries, 1)] == [
        True
    ] * 5


def test_the_files_are_the_same_each_time() -> None:
    for make in (demo_files.mp3, demo_files.pdf, demo_files.epub, demo_files.text):
        assert make() == make()
