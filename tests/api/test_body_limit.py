"""A stranger can't fill the disk with a form that is read before anybody is asked."""

from collections.abc import Iterator

import httpx
import pytest

from prebill.api.body_limit import MOST_BYTES
from prebill.store.users import Role
from tests.api.conftest import Served

PATH = "/cases/case:none/handle/comment"


def test_body_that_says_it_is_too_large_is_refused(served_once: Served) -> None:
    answer = served_once.send("POST", PATH, None, content=b"x" * (MOST_BYTES + 1))
    assert (413, "too_large") == (answer.status_code, answer.json()["code"])
    assert "send at most 32 MiB" in answer.json()["detail"]
    assert "nosniff" == answer.headers["x-content-type-options"]


def test_body_without_a_length_is_cut(served_once: Served) -> None:
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(4 * MOST_BYTES // 2**20):
            sent += 2**20
            yield b"x" * 2**20

    form = {"Content-Type": "multipart/form-data; boundary=b"}
    try:
        answer = served_once.send("POST", PATH, None, content=chunks(), headers=form)
        assert answer.status_code >= 400
    except httpx.HTTPError:
        assert sent < 4 * MOST_BYTES
    assert 200 == served_once.get("/healthz", None).status_code


@pytest.mark.parametrize("size", [0, 1_000_000])
def test_ordinary_bodies_pass(served_once: Served, size: int) -> None:
    body = {"text": "x" * size}
    answer = served_once.post("/v1/cases/case:none:comment", Role.VIEWER, json=body)
    assert answer.status_code in {404, 422}
