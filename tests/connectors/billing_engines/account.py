"""A Stripe account as far as the gate sees it: a real HTTP server with the public API's behaviour.

Retrieving, updating and finalizing invoices, pages of lines, errors. With ``upstream`` the invoices
are those of another server (localstripe); what that one lacks, ``auto_advance`` and ``/finalize``,
is kept here. It enforces what Stripe does: the key, the version, no change of an issued invoice.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx

from prebill.connectors.billing_engines.stripe import MANIFEST
from tests.connectors.billing_engines.shapes import KEY

Object = dict[str, Any]


@dataclass
class Account:
    """Its invoices, what was asked of it, and the failures that it will answer with next."""

    upstream: str = ""
    url: str = ""
    invoices: dict[str, Object] = field(default_factory=dict)
    page: int = 10
    calls: list[tuple[str, str]] = field(default_factory=list)
    #: (method, part of the path) → statuses to answer with first.
    failures: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def add(self, one: Object) -> None:
        self.invoices[one["id"]] = one

    def changes(self, invoice_id: str) -> list[str]:
        """Paths of the calls that changed an invoice."""
        return [path for method, path in self.calls if method == "POST" and invoice_id in path]

    # ── The API ─────────────────────────────────────────────────────────────────────────────

    def answer(self, method: str, target: str, form: dict[str, str]) -> tuple[int, Object]:
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        self.calls.append((method, path))
        for (on, part), statuses in self.failures.items():
            if on == method and part in path and statuses:
                return statuses.pop(0), {"error": {"type": "api_error", "code": "planned"}}
        _, _, _, invoice_id, *rest = path.split("/")
        invoice = self._retrieved(invoice_id)
        if invoice is None:
            return 404, {"error": {"type": "invalid_request_error", "code": "resource_missing"}}
        if method == "GET":
            if rest == ["lines"]:
                return 200, self._lines(invoice, query["starting_after"][0], int(query["limit"][0]))
            return 200, self._shown(invoice)
        if invoice["status"] != "draft":
            code = "invoice_not_editable"
            return 400, {"error": {"type": "invalid_request_error", "code": code}}
        if rest == ["finalize"]:
            invoice["status"] = "open"
        self._update(invoice, form)
        return 200, self._shown(invoice)

    def _retrieved(self, invoice_id: str) -> Object | None:
        if self.upstream and invoice_id not in self.invoices:
            headers = {"Authorization": "Bearer sk_test_localstripe"}
            address = f"{self.upstream}/v1/invoices/{invoice_id}"
            found = httpx.get(address, headers=headers)
            if found.status_code == 404:
                return None
            self.invoices[invoice_id] = {"auto_advance": True, **found.json()}
        return self.invoices.get(invoice_id)

    def _update(self, invoice: Object, form: dict[str, str]) -> None:
        for name, value in form.items():
            if name.startswith("metadata["):
                kept = {**invoice["metadata"], name[9:-1]: value}
                invoice["metadata"] = {key: text for key, text in kept.items() if text}
            elif name == "auto_advance":
                invoice["auto_advance"] = value == "true"
                if value == "false":
                    invoice["automatically_finalizes_at"] = None
            else:
                raise AssertionError(f"the connector sends {name}")

    def _shown(self, invoice: Object) -> Object:
        lines = invoice["lines"]["data"]
        first = {"data": lines[: self.page], "has_more": len(lines) > self.page}
        return {**invoice, "lines": {**invoice["lines"], **first}}

    def _lines(self, invoice: Object, after: str, limit: int) -> Object:
        lines = invoice["lines"]["data"]
        start = [one["id"] for one in lines].index(after) + 1
        return {"data": lines[start : start + limit], "has_more": start + limit < len(lines)}


@contextmanager
def account(upstream: str = "") -> Iterator[Account]:
    """Serve an account on a free port."""
    served = Account(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            form = dict(parse_qsl(self.rfile.read(length).decode(), keep_blank_values=True))
            if self.headers["Authorization"] != f"Bearer {KEY}":
                status, found = 401, {"error": {"type": "invalid_request_error"}}
            else:
                assert self.headers["Stripe-Version"] == MANIFEST.api_version
                status, found = served.answer(self.command, self.path, form)
            body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
