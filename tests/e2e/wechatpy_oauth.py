"""PyPI's wechatpy.oauth as a program written for WeChat uses it: unmodified, with another host and
another secret. Its set-up is one JSON argument. One JSON object a line in, one a line out."""

import json
import sys

from wechatpy.exceptions import WeChatOAuthException
from wechatpy.oauth import WeChatOAuth

set_up = json.loads(sys.argv[1])


class OAuth(WeChatOAuth):
    """Everything the move to lingpai takes."""

    API_BASE_URL = set_up["host"] + "/"
    OAUTH_BASE_URL = set_up["host"] + "/connect/"


oauth = None


def way_in(asked):
    global oauth
    given = [asked[name] for name in ("redirect_uri", "scope", "state")]
    oauth = OAuth(set_up["appid"], set_up["secret"], *given)
    # A proxy for the world outside is none for loopback.
    oauth._http.trust_env = False
    return oauth.authorize_url


tasks = {
    "way_in": way_in,
    "exchange": lambda asked: oauth.fetch_access_token(asked["code"]),
    "refresh": lambda asked: oauth.refresh_access_token(asked["refresh_token"]),
    "fan": lambda asked: oauth.get_user_info(asked["openid"]),
    "check": lambda asked: oauth.check_access_token(asked["openid"], asked["access_token"]),
}

for line in sys.stdin:
    asked = json.loads(line)
    try:
        answer = {"answer": tasks[asked["do"]](asked)}
    except WeChatOAuthException as error:
        if error.errcode is None:
            raise
        answer = {"refused": error.errcode, "why": error.errmsg}
    print(json.dumps(answer), flush=True)
