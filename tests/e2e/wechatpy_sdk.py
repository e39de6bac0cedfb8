"""PyPI's wechatpy as a program written for WeChat uses it: unmodified, with another host and another
secret. Its set-up is one JSON argument. One JSON object a line in, one a line out."""

import json
import sys

from wechatpy.client import WeChatClient
from wechatpy.exceptions import WeChatClientException

set_up = json.loads(sys.argv[1])


class Client(WeChatClient):
    """Everything the move to lingpai takes. wechatpy names the host twice: as a base, and once more
    where it fetches its token."""

    API_BASE_URL = set_up["host"] + "/cgi-bin/"

    def fetch_access_token(self):
        params = {"grant_type": "client_credential", "appid": self.appid, "secret": self.secret}
        return self._fetch_access_token(self.API_BASE_URL + "token", params)


client = Client(set_up["appid"], set_up["secret"], timeout=30)
# A proxy for the world outside is none for loopback.
client._http.trust_env = False


def upload(asked):
    with open(asked["path"], "rb") as file:
        return client.media.upload("image", file)


def download(asked):
    answer = client.media.download(asked["media_id"])
    with open(asked["path"], "wb") as file:
        file.write(answer.content)
    return {"bytes": len(answer.content)}


tasks = {
    "fans": lambda asked: client.user.get_followers()["data"]["openid"],
    "fan": lambda asked: client.user.get(asked["openid"]),
    "several_fans": lambda asked: {"user_info_list": client.user.get_batch(asked["openids"])},
    "create_menu": lambda asked: client.menu.create(asked["menu"]),
    "menu": lambda asked: client.menu.get(),
    "delete_menu": lambda asked: client.menu.delete(),
    "upload": upload,
    "download": download,
    "send_text": lambda asked: client.message.send_text(asked["openid"], asked["text"]),
}

for line in sys.stdin:
    asked = json.loads(line)
    try:
        answer = {"answer": tasks[asked["do"]](asked)}
    except WeChatClientException as error:
        if error.errcode is None:
            raise
        answer = {"refused": error.errcode, "why": error.errmsg}
    print(json.dumps(answer), flush=True)
