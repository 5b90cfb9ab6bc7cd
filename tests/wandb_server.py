"""As much of W&B's server as runs, their tables and artifacts, saved views and reports need, on this machine."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

KEY = "0123456789" * 4
EMPTY: dict[str, Any] = {"edges": [], "pageInfo": {"endCursor": None, "hasNextPage": False}}


@contextmanager
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    """A server that W&B is told to be, with a key of its own."""

    class Fresh(Server):
        heard: list[str] = []
        views: dict[str, dict[str, Any]] = {}
        closing = threading.Event()

    http = ThreadingHTTPServer(("127.0.0.1", 0), Fresh)
    http.handle_error = lambda *_: None  # type: ignore[method-assign]  # wandb drops connections when it is through
    threading.Thread(target=http.serve_forever, daemon=True).start()
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{http.server_port}")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    yield Fresh
    Fresh.closing.set()
    http.shutdown()
    http.server_close()


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    refuses = False
    breaks = False  # answers that something went wrong within
    hangs = False  # never answers
    closing = threading.Event()
    heard: list[str] = []  # what was sent, a line a request
    views: dict[str, dict[str, Any]] = {}  # id -> saved view or report

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        self.heard.append(f"{self.path} {body.decode(errors='replace')}")
        if self.hangs:
            self.closing.wait()
        answer = self.answer(json.loads(body)) if self.path == "/graphql" else {}
        content = json.dumps({"data": answer}).encode()
        self.send_response(400 if self.refuses else 500 if self.breaks else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        query, variables = asked["query"], asked.get("variables") or {}
        for field, answer in ANSWERS.items():
            if field in query:
                return answer(self, variables)
        return {"viewer": {"id": "v", "entity": "us", "username": "us", "flags": "{}", "teams": {"edges": []}}}

    def bucket(self, asked: dict[str, Any]) -> dict[str, Any]:
        project = {"id": "p", "name": asked["project"], "entity": {"id": "e", "name": "us"}}
        bucket = {"id": "b", "name": asked["name"], "config": "{}", "historyLineCount": 0, "project": project}
        return {"upsertBucket": {"bucket": bucket, "inserted": True}}

    def run_files(self, asked: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": name, "uploadUrl": self.upload(name)} for name in asked["files"]]
        return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}

    def artifact(self, asked: dict[str, Any]) -> dict[str, Any]:
        sequence = {"id": "s", "latestArtifact": None}
        return {"createArtifact": {"artifact": {"id": "a", "state": "PENDING", "artifactSequence": sequence}}}

    def artifact_manifest(self, asked: dict[str, Any]) -> dict[str, Any]:
        file = {"id": "f", "uploadUrl": self.upload("manifest.json"), "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": "m", "file": file}}}

    def artifact_files(self, asked: dict[str, Any]) -> dict[str, Any]:
        nodes = [
            {"node": {"name": file["name"], "storagePath": file["name"], "uploadUrl": self.upload(file["name"]),
                      "uploadHeaders": [], "uploadMultipartUrls": None, "artifact": {"id": "a"}}}
            for file in asked["input"]["artifactFiles"]
        ]  # fmt: skip
        return {"createArtifactFiles": {"files": {"edges": nodes}}}

    def committed(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"commitArtifact": {"artifact": {"id": "a", "digest": "d"}}}

    def upload(self, name: str) -> str:
        return f"http://{self.headers['Host']}/upload/{name}"

    def no_artifact(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"artifact": None}}

    def view(self, asked: dict[str, Any]) -> dict[str, Any]:
        known = next((view for view in self.views.values() if view["name"] == asked["name"]), None)
        view: dict[str, Any] = {
            "id": asked.get("id") or (known or {}).get("id") or f"view{len(self.views)}",
            **{key: asked.get(key) for key in ("type", "name", "displayName", "description", "spec")},
            "project": {"id": "p", "name": asked["projectName"], "entityName": asked["entityName"]},
            "updatedAt": "2026-01-01T00:00:00",
            "createdAt": "2026-01-01T00:00:00",
            "user": {"username": "us", "photoUrl": None, "email": None},
        }
        inserted = view["id"] not in self.views
        self.views[view["id"]] = view
        return {"upsertView": {"view": view, "inserted": inserted}}

    def all_views(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = [
            {"node": view, "cursor": view["id"]}
            for view in self.views.values()
            if view["type"] == asked.get("viewType", "runs") and asked.get("viewName") in (None, view["name"])
        ]
        return {"project": {"allViews": EMPTY | {"edges": found}}}

    def projects(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"models": EMPTY}

    def new_project(self, asked: dict[str, Any]) -> dict[str, Any]:
        model = {"id": "p", "name": asked.get("name"), "entityName": "us", "description": None, "access": None}
        return {"upsertModel": {"project": model, "model": model, "inserted": True}}

    def log_message(self, *_: Any) -> None:
        pass


ANSWERS = {  # a field of the query -> who answers; the first that is found
    "upsertBucket": Server.bucket,
    "createRunFiles": Server.run_files,
    "createArtifactManifest": Server.artifact_manifest,
    "createArtifactFiles": Server.artifact_files,
    "createArtifact": Server.artifact,
    "commitArtifact": Server.committed,
    "artifactType": Server.no_artifact,
    "upsertView": Server.view,
    "allViews": Server.all_views,
    "upsertModel": Server.new_project,
    "models(": Server.projects,
}
