"""PyPI's wechatpy as the message handler of an account's own server: unmodified, as its documents show
it. Its set-up is one JSON argument. One JSON object a line in, one a line out."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qsl, urlsplit

from wechatpy import create_reply, parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import InvalidAppIdException, InvalidSignatureException
from wechatpy.replies import ImageReply
from wechatpy.utils import check_signature

set_up = json.loads(sys.argv[1])
crypto = WeChatCrypto(set_up["token"], set_up["encoding_aes_key"], set_up["appid"])
seen = []


def answer(message):
    """What the account says."""
    if message.type == "event":
        return create_reply("欢迎" if message.event == "subscribe" else "", message)
    if message.content == "图片":
        return ImageReply(media_id="m1", message=message)
    if message.content == "图文":
        article = {"title": "目录", "description": "", "image": "", "url": "https://shop.example/"}
        return create_reply([article], message)
    if message.content == "安静":
        return create_reply("", message)
    return create_reply("收到：" + message.content, message)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        query = dict(parse_qsl(urlsplit(self.path).query))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            check_signature(
                set_up["token"], query["signature"], query["timestamp"], query["nonce"]
            )
            xml = crypto.decrypt_message(
                body, query["msg_signature"], query["timestamp"], query["nonce"]
            )
        except (InvalidSignatureException, InvalidAppIdException):
            self.send_error(403)
            return
        message = parse_message(xml)
        seen.append(message.type)
        reply = answer(message).render()
        sealed = crypto.encrypt_message(reply, query["nonce"], query["timestamp"]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(sealed)))
        self.end_headers()
        self.wfile.write(sealed)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
Thread(target=server.serve_forever, daemon=True).start()

for line in sys.stdin:
    asked = json.loads(line)
    tasks = {"listen": lambda: {"port": server.server_port}, "seen": lambda: seen}
    print(json.dumps(tasks[asked["do"]]()), flush=True)
