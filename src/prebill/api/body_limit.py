"""No request is larger than what anybody needs to send: forms are read before anybody is asked."""

from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prebill.api.problems import Problem

#: A file of 5 MB in base64, or some 100,000 usage events.
MOST_BYTES: Final = 32 * 1024 * 1024


class BodyLimit:
    """ASGI middleware: a body that says that it is larger is refused, one that turns out so is cut.

    The second kind (chunks without a length) reads as a caller that went away.
    """

    def __init__(self, app: ASGIApp, most_bytes: int = MOST_BYTES) -> None:
        self.app = app
        self.most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        said = Headers(scope=scope).get("content-length", "0")
        if said.isdecimal() and int(said) > self.most_bytes:
            detail = f"send at most {self.most_bytes // 1024 // 1024} MiB: split it"
            problem = Problem(413, "Too large", detail, "too_large")
            await problem.response()(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            return {"type": "http.disconnect"} if seen > self.most_bytes else message

        await self.app(scope, counted, send)
