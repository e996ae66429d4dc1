"""Names of images."""

from __future__ import annotations

import pytest

from worker_lib.fly.images import image_app, parse_image, supersedes

DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("expected", "image"),
    [
        (("registry.fly.io", "web", "v1", ""), "registry.fly.io/web:v1"),
        (("localhost:5000", "a/b", "c", ""), "localhost:5000/a/b:c"),
        (("", "library/alpine", "", ""), "library/alpine"),
        (("ghcr.io", "a", "v2", DIGEST), f"ghcr.io/a:v2@{DIGEST}"),
    ],
)
def test_a_name_has_four_parts(expected: tuple[str, str, str, str], image: str) -> None:
    """Registry, repository, tag and digest; "" for what is not given."""
    parts = parse_image(image)

    assert parts is not None
    assert expected == tuple(parts.values())


@pytest.mark.parametrize("image", ["", "not a name", "a:b:c", "a@sha256:abc", "A"])
def test_other_texts_are_not_names(image: str) -> None:
    """None, so that the caller can say so."""
    assert parse_image(image) is None
    assert "" == image_app(image)


def test_the_app_of_an_image_is_part_of_its_name() -> None:
    """Only Fly's registry names apps."""
    assert "web" == image_app("registry.fly.io/web:v1")
    assert "" == image_app("ghcr.io/web:v1")


EARLIER = "deployment-01JAAAAAAAAAAAAAAAAAAAAAAA"
LATER = "deployment-01JBAAAAAAAAAAAAAAAAAAAAAA"


@pytest.mark.parametrize(
    ("expected", "image", "other"),
    [
        (True, f"registry.fly.io/web:{LATER}", f"registry.fly.io/web:{EARLIER}"),
        (
            True,
            f"registry.fly.io/web:{LATER}@{DIGEST}",
            f"registry.fly.io/web:{EARLIER}",
        ),
        (False, f"registry.fly.io/web:{EARLIER}", f"registry.fly.io/web:{LATER}"),
        (False, f"registry.fly.io/web:{LATER}", f"registry.fly.io/web:{LATER}"),
        (False, f"registry.fly.io/web:{LATER}", f"registry.fly.io/jobs:{EARLIER}"),
        (False, f"ghcr.io/web:{LATER}", f"ghcr.io/web:{EARLIER}"),
        (False, f"registry.fly.io/web:{LATER}", "registry.fly.io/web:v1"),
        (False, "registry.fly.io/web:v2", "registry.fly.io/web:v1"),
        (False, "", ""),
        (False, "local", f"registry.fly.io/web:{EARLIER}"),
    ],
)
def test_only_a_later_deployment_supersedes(
    expected: bool, image: str, other: str
) -> None:
    """Of the same app, as its tag tells; anything else may be in use by somebody."""
    assert expected is supersedes(image, other)
