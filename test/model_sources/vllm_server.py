"""A server that speaks vLLM's chat wire format, with the prompt template and plug-in of its own.

Not vLLM: it recomputes each score by the checkpoint's public forward. Whatever a real server was
seen to do wrong, it does when told to. test_vllm_recorded.py holds it against what vLLM said.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jinja2
import numpy as np
import torch
from repository import ROOT

from topreward_ros.models.answer import log_prob_of_logits
from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.models.families.qwen_patches import patchify
from topreward_ros.models.video_unit import VideoUnit

VLLM = ROOT / "config" / "serve" / "vllm"
FAULTY_PROMPTS = {"drops frames", "resizes", "doubles"}


def plugin():
    """Imports the plug-in, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("plugin", VLLM / "plugin" / "topreward_vllm.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class VllmServer:
    """Answers on a port of loopback.

    Attributes:
        faults: what it does wrong, by the names that `_answer` knows.
        requests: how many questions came.
        pixels: how many pairs came with their pixels.
        fingerprint: of its version and settings.
        key: that it wants; "": none.
    """

    def __init__(self, checkpoint: str, **options: object) -> None:
        scorer = load_scorer(checkpoint, device="cpu", **options)
        self.checkpoint = checkpoint
        self.backbone = scorer.backbone
        self.faults: set[str] = set()
        self.requests = self.pixels = 0
        self.fingerprint = "vllm-0.32.0-0123abcd"
        self.key = ""
        self.longest = 32768
        self._cache: dict[str, VideoUnit] = {}
        self._seen: list[list[str]] = []
        self._read = plugin().read
        self._template = jinja2.Template((VLLM / "prompt.jinja").read_text())
        self._lock = threading.Lock()
        self.port = 0
        self.start()

    @property
    def address(self) -> str:
        """As the parameter `model` takes it."""
        return f"vllm+http://127.0.0.1:{self.port}#{self.checkpoint}"

    def start(self) -> None:
        """Listens, on the port of before where there was one."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server._handle(self)

            def do_POST(self) -> None:
                server._handle(self)

            def date_time_string(self, timestamp: float | None = None) -> str:
                return "Thu, 01 Jan 1970 00:00:00 GMT"  # a clock that differs, to all tests

            def log_message(self, *_: object) -> None:
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Goes away, and forgets all that it knew."""
        self._http.shutdown()
        self._http.server_close()
        self.evict()

    def evict(self) -> None:
        """Forgets all pairs."""
        with self._lock:
            self._cache.clear()
            self._seen.clear()

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        handler.close_connection = True
        if self.key and handler.headers.get("authorization") != f"Bearer {self.key}":
            self._send(handler, 401, {"error": {"message": "Unauthorized"}})
        elif handler.path == "/v1/models":
            model = {"id": self.checkpoint, "max_model_len": self.longest}
            self._send(handler, 200, {} if "other server" in self.faults else {"data": [model]})
        elif "gone" in self.faults:
            handler.connection.close()
        elif "busy" in self.faults:
            self._send(handler, 503, {})
        elif "huge" in self.faults:
            self._huge(handler)
        else:
            with self._lock:
                status, told = self._answer(json.loads(body), handler.headers["x-request-id"])
            self._send(handler, status, told)

    def _send(self, handler: BaseHTTPRequestHandler, status: int, told: dict) -> None:
        data = json.dumps(told).encode()
        handler.send_response(status)
        handler.send_header("content-length", str(len(data)))
        handler.send_header("connection", "close")
        handler.end_headers()
        handler.wfile.write(data[: len(data) // 2] if "truncated" in self.faults else data)

    def _huge(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(1024):
                handler.wfile.write(b" " * 2**20)
        except OSError:
            pass  # whoever asked has had enough

    def _answer(self, body: dict, number: str) -> tuple[int, dict]:
        self.requests += 1
        message = body["messages"][0]
        units, names = [], []
        for index, part in enumerate(p for p in message["content"] if p["type"] == "video_url"):
            name = part["uuid"]
            if part["video_url"]:
                self.pixels += 1
                data = base64.b64decode(part["video_url"]["url"].partition(",")[2])
                frames, told = self._read(data)
                stamps = tuple(tick / told["fps"] for tick in told["frames_indices"])
                self._cache[name] = VideoUnit(frames.copy(), stamps, index)
            elif name not in self._cache:
                reason = f"Cache miss for video at index {index} but data is not provided"
                return 400, {"error": {"message": reason}}
            units.append(self._cache[name])
            names.append(name)
        return 200, self._scored(body, units, names, number)

    @torch.inference_mode()
    def _score(self, ids: list[int], units: list[VideoUnit], answer: int) -> float:
        tokens, grid = torch.tensor([ids]), self.backbone.grid
        if self.faults & FAULTY_PROMPTS:
            return -5.0  # nobody should look at it
        thw = grid.thw.clone()
        thw[0, 0] = len(units)
        pads = tokens == self.backbone.tokenizer.convert_tokens_to_ids("<|video_pad|>")
        output = self.backbone.model(
            input_ids=tokens,
            pixel_values_videos=torch.cat([patchify(unit.frames, grid) for unit in units]),
            video_grid_thw=thw,
            mm_token_type_ids=2 * pads.int(),
            use_cache=False,
            logits_to_keep=1,
        )
        return log_prob_of_logits(output.logits[0, -1], answer)

    def _scored(self, body: dict, units: list[VideoUnit], names: list[str], number: str) -> dict:
        faults = self.faults
        if "blind" in faults:
            units = [VideoUnit(np.zeros_like(u.frames), u.stamps, u.number) for u in units]
        if "late" in faults:
            units = [VideoUnit(u.frames, (1 + u.stamps[0],) * 2, u.number) for u in units]
        ids = self._ids(body, units)
        score = self._score(ids, units, body["allowed_token_ids"][0])
        reused = 0 if "recomputes" in faults or names not in self._seen else len(ids) - 8
        self._seen.append(names)
        score += -3.0 if "other weights" in faults else 0.0
        score = {"processed": 0.0, "nan": -9999.0}.get(next(iter(faults), ""), score)
        others = [0.9, 0.5] if "logits" in faults else [-1.0, -2.0]
        chosen = {"logprob": score, "top_logprobs": [{"logprob": o} for o in others]}
        usage = {"prompt_tokens": len(ids)}
        if "says nothing" not in faults:
            usage["prompt_tokens_details"] = {"cached_tokens": reused}
        return {
            "id": "chatcmpl-" + ("another" if "mixed up" in faults else number),
            "choices": [{"logprobs": {"content": [] if "no numbers" in faults else [chosen]}}],
            "usage": usage,
            "prompt_token_ids": ids if body["return_token_ids"] else None,
            "system_fingerprint": self.fingerprint,
        }

    def _ids(self, body: dict, units: list[VideoUnit]) -> list[int]:
        """What vLLM's processor makes of the rendered template."""
        content = [
            {**part, "type": part["type"].removesuffix("_url")}
            for part in body["messages"][0]["content"]
        ]
        text = self._template.render(messages=[{"role": "user", "content": content}])
        grid, faults = self.backbone.grid, self.faults
        for unit in units[:-1] if "drops frames" in faults else units:
            stamp = f"<{sum(unit.stamps) / 2:.1f} seconds>"
            pads = grid.tokens - (1 if "resizes" in faults else 0)
            pair = f"{stamp}<|vision_start|>{'<|PAD|>' * pads}<|vision_end|>"
            if "doubles" in faults:
                pair = f"<|vision_start|>{pair}<|vision_end|>"
            text = text.replace("<|video_pad|>", pair, 1)
        text = text.replace("<|video_pad|>", "").replace("<|PAD|>", "<|video_pad|>")
        if "turn end" in faults:
            text += "<|im_end|>\n"
        if "other tokens" in faults:
            text = text.replace("drawer", "d r a w e r")
        return self.backbone.tokenizer.encode(text, add_special_tokens=False)
