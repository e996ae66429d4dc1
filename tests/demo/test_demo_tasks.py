"""The tasks as plain calls, against the real stand-ins."""

from __future__ import annotations

import io
import json
import zlib
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
from PIL import Image
from pypdf import PdfReader

from worker.images import ImageRefused
from worker.mail import MailRefused, MailTemporarilyRefused
from worker.reports import ReportRefused
from worker.services import NotConfigured, StorageSettings
from worker.storage import StorageFailed, Upload, connect
from worker.tasks import make_report, resize_image, send_email

if TYPE_CHECKING:
    from collections.abc import Callable


def _outbox(services: dict[str, str]) -> list[dict[str, Any]]:
    with urlopen(f"{services['MAILJET_API_URL']}outbox.json") as reply:
        messages: list[dict[str, Any]] = json.load(reply)["messages"]
    return messages


def _download(url: str) -> tuple[bytes, str, str]:
    with urlopen(url) as reply:
        headers = reply.headers
        disposition = headers.get("Content-Disposition", "")
        return reply.read(), headers["Content-Type"], disposition


def test_a_mail_arrives_once(services: dict[str, str]) -> None:
    """The provider gets exactly what the task was given."""
    send_email("once@example.com", "Only once", "Line one\nLine two")

    arrived = [mail for mail in _outbox(services) if mail["Subject"] == "Only once"]
    assert 1 == len(arrived)
    assert [{"Email": "once@example.com"}] == arrived[0]["To"]
    assert "Line one\nLine two" == arrived[0]["TextPart"]


@pytest.mark.parametrize("status", [400, 403])
def test_what_the_provider_never_takes_fails_with_its_words(
    services: dict[str, str], status: int
) -> None:
    """A 4xx is no case for another attempt."""
    with pytest.raises(MailRefused, match=f"{status}: .*asked for this failure"):
        send_email(f"fail-{status}@example.com", "x", "y")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_the_provider_may_take_later_is_told_apart(
    services: dict[str, str], status: int
) -> None:
    """429 and 5xx are what the task's retries are for."""
    with pytest.raises(MailTemporarilyRefused, match=str(status)):
        send_email(f"fail-{status}@example.com", "x", "y")


def test_an_address_that_mailjet_refuses_is_named(services: dict[str, str]) -> None:
    """The provider's own sentence reaches whoever looks at the job."""
    with pytest.raises(MailRefused, match='"nonsense" is an invalid email address'):
        send_email("nonsense", "x", "y")


def test_a_wrong_key_is_no_case_for_another_attempt(
    services: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the message does not hold the key."""
    monkeypatch.setenv("MAILJET_SECRET_KEY", "wrong-and-private")

    with pytest.raises(MailRefused, match="401") as refusal:
        send_email("a@example.com", "x", "y")
    assert "wrong-and-private" not in str(refusal.value)


def test_no_answer_is_worth_another_attempt(
    services: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens on port 1."""
    monkeypatch.setenv("MAILJET_API_URL", "http://127.0.0.1:1/")

    with pytest.raises(MailTemporarilyRefused, match="did not answer"):
        send_email("a@example.com", "x", "y")


def test_missing_credentials_are_all_named() -> None:
    """One look at the error is enough to set them."""
    with pytest.raises(NotConfigured) as refusal:
        make_report("x", 1)

    expected = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "S3_BUCKET")
    assert expected == refusal.value.missing
    assert all(name in str(refusal.value) for name in expected)


def test_an_image_is_stored_in_three_sizes(
    services: dict[str, str], picture: Callable[..., bytes]
) -> None:
    """In proportion, as JPEG, under keys that tell nothing."""
    result = resize_image(picture((2000, 1000)), "holiday.jpg")

    expected = [("thumb", 160, 80), ("medium", 640, 320), ("large", 1280, 640)]
    assert expected == [(s["name"], s["width"], s["height"]) for s in result["sizes"]]
    for size in result["sizes"]:
        data, content_type, _ = _download(size["url"])
        with Image.open(io.BytesIO(data)) as image:
            assert ("JPEG", (size["width"], size["height"])) == (
                image.format,
                image.size,
            )
        assert "image/jpeg" == content_type
        assert "holiday" not in size["key"]


def test_an_image_is_turned_upright_and_loses_its_exif_data(
    services: dict[str, str], picture: Callable[..., bytes]
) -> None:
    """Orientation 6 means: turn it by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    large = resize_image(picture((1600, 800), exif=exif), "x.jpg")["sizes"][2]

    assert (640, 1280) == (large["width"], large["height"])
    with Image.open(io.BytesIO(_download(large["url"])[0])) as image:
        assert not image.getexif()


def test_a_small_image_is_never_enlarged(
    services: dict[str, str], picture: Callable[..., bytes]
) -> None:
    """Only the thumbnail is smaller than what came."""
    sizes = resize_image(picture((200, 100), kind="PNG"), "x.png")["sizes"]

    assert [(160, 80), (200, 100), (200, 100)] == [
        (s["width"], s["height"]) for s in sizes
    ]


def test_what_is_transparent_becomes_white(services: dict[str, str]) -> None:
    """JPEG knows no transparency, and black would surprise."""
    out = io.BytesIO()
    Image.new("RGBA", (50, 50), (200, 0, 0, 0)).save(out, "PNG")

    size = resize_image(out.getvalue(), "x.png")["sizes"][0]
    with Image.open(io.BytesIO(_download(size["url"])[0])) as image:
        assert (255, 255, 255) == image.getpixel((25, 25))


@pytest.mark.parametrize("data", [b"", b"no image", b"\xff\xd8\xff\xe0garbage"])
def test_what_is_no_image_is_refused_by_name(
    services: dict[str, str], data: bytes
) -> None:
    """The person who sent it can understand the message."""
    with pytest.raises(ImageRefused, match=r"odd\.jpg cannot be read"):
        resize_image(data, "odd.jpg")


def test_a_truncated_image_is_refused(
    services: dict[str, str], picture: Callable[..., bytes]
) -> None:
    """Half a picture is not shown as if it were whole."""
    with pytest.raises(ImageRefused, match="damaged"):
        resize_image(picture()[:20_000], "half.jpg")


@pytest.mark.parametrize("side", [6_000, 12_000, 60_000])
def test_a_decompression_bomb_is_refused_unread(
    services: dict[str, str], side: int
) -> None:
    """Over our limit, over Pillow's warning, over Pillow's error: all are refused."""
    with pytest.raises(ImageRefused, match="pixels"):
        resize_image(_png_header(side, side), "bomb.png")


def test_a_resize_that_fails_midway_leaves_nothing_behind(
    services: dict[str, str],
) -> None:
    """All sizes are kept, or none."""
    settings = StorageSettings.load(services)
    bucket = connect(settings)
    with pytest.raises(KeyboardInterrupt):
        _put_and_be_cancelled(settings)

    listing = bucket.list_objects_v2(Bucket=settings.bucket, Prefix="cancelled/")
    assert 0 == listing["KeyCount"]


def test_a_bucket_that_is_not_there_is_named(
    services: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the words of the storage; clearing up afterwards does not cover them."""
    monkeypatch.setenv("S3_BUCKET", "no-such-bucket")

    with pytest.raises(StorageFailed, match=r"no-such-bucket.*NoSuchBucket"):
        make_report("x", 1)


@pytest.mark.parametrize("pages", [1, 2, 37])
def test_a_report_has_the_pages_and_the_title_that_were_asked_for(
    services: dict[str, str], pages: int
) -> None:
    """And a browser saves it instead of showing it."""
    title = 'Sales & <b>returns</b> "2026" é'
    result = make_report(title, pages)

    data, content_type, disposition = _download(result["url"])
    reader = PdfReader(io.BytesIO(data))
    assert pages == len(reader.pages) == result["pages"]
    assert len(data) == result["size_bytes"]
    assert reader.metadata
    assert title == reader.metadata.title
    assert "<b>returns</b>" in reader.pages[0].extract_text()
    assert ("application/pdf", 'attachment; filename="report.pdf"') == (
        content_type,
        disposition,
    )


@pytest.mark.parametrize("pages", [0, -1, 501])
def test_a_report_of_impossible_length_is_refused(
    services: dict[str, str], pages: int
) -> None:
    """The bounds are in the message."""
    with pytest.raises(ReportRefused, match=f"1 to 500 pages, not {pages}"):
        make_report("x", pages)


def test_a_title_that_cannot_be_printed_is_refused(services: dict[str, str]) -> None:
    """Better than a report full of boxes."""
    with pytest.raises(ReportRefused, match="прибыль"):
        make_report("прибыль 2026", 1)


def _put_and_be_cancelled(settings: StorageSettings) -> None:
    with Upload(settings) as upload:
        upload.put("cancelled", "jpg", b"x", "image/jpeg")
        raise KeyboardInterrupt


def _png_header(width: int, height: int) -> bytes:
    """Return a PNG that claims its size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data).to_bytes(4)
        return len(data).to_bytes(4) + kind + data + check

    head = width.to_bytes(4) + height.to_bytes(4) + b"\x08\x02\x00\x00\x00"
    body = chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body
