"""Cases over HTTP, short of a decision: comments, files, questions, snooze, escalation."""

import base64
import binascii
from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from prebill.api.auth import Reader
from prebill.api.context import Served
from prebill.api.handle import MEANINGS, Act, Handling, handle
from prebill.api.idempotency import DoneOnce
from prebill.core.errors import InputError
from prebill.store import handling
from prebill.store.handling import File
from prebill.workflows.handling import MAX_FILE, MAX_FILE_NAME, MAX_TEXT

router: Final = APIRouter(prefix="/v1", tags=["cases"])

#: Base64 is a third longer than what it writes.
_MAX_ENCODED: Final = MAX_FILE * 4 // 3 + 4


class FileBody(BaseModel):
    """A file that goes with a comment."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=MAX_FILE_NAME)
    media_type: str = Field("application/octet-stream", max_length=100)
    content_base64: str = Field(max_length=_MAX_ENCODED)


class HandlingBody(BaseModel):
    """Words, and what the act needs beside them; nobody names who acts: the token does."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field("", max_length=MAX_TEXT)
    #: Snooze: until when.
    until_at: datetime | None = None
    #: Ask: the colleague's e-mail address.
    of: str = ""
    #: Comment: a file.
    file: FileBody | None = None


@router.get("/cases/{case_id:path}/files/{seq}")
def get_file(case_id: str, seq: int, served: Served, _: Reader) -> Response:
    """Return the file of a comment."""
    with served.store.read() as tx:
        found = handling.file_of(tx, case_id, seq)
    return file_response(found)


def _route_of(act: Act) -> Callable[..., Response]:
    """One path an act: a pattern would take those of the decisions too."""

    def post(
        case_id: str, body: HandlingBody, served: Served, actor: Reader, once: DoneOnce
    ) -> Response:
        def work() -> tuple[int, dict[str, object]]:
            asked = Handling(act, case_id, body.text, body.until_at, body.of, _file(body.file))
            handle(served.installation, actor, asked)
            return 200, {"case_id": case_id, "act": act}

        return once.answer(work)

    return post


for _act, _meaning in MEANINGS.items():
    router.add_api_route(
        f"/cases/{{case_id:path}}:{_act}",
        _route_of(_act),
        methods=["POST"],
        summary=_meaning,
        name=f"post_{_act}",
    )


def file_response(file: File) -> Response:
    """A file to keep, never one that the browser opens: nobody knows what somebody attached."""
    name = quote(file.name, safe="")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    return Response(file.content, media_type="application/octet-stream", headers=headers)


def _file(given: FileBody | None) -> File | None:
    if given is None:
        return None
    try:
        content = base64.b64decode(given.content_base64, validate=True)
    except binascii.Error as error:
        message = f"content_base64 of {given.name} is no base64 text"
        raise InputError(message) from error
    return File(given.name, given.media_type, content)
