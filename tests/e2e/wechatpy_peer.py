"""WeChat's side and a platform's side as PyPI's wechatpy sees them. One JSON argument in, JSON out."""

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import xmltodict
from wechatpy.component import WeChatComponent
from wechatpy.crypto import WeChatCrypto


def push(asked):
    """Encrypts a message with wechatpy and pushes it as WeChat does."""
    component = asked["component"]
    crypto = WeChatCrypto(component["token"], component["encoding_aes_key"], component["appid"])
    nonce, timestamp = "415670741", str(int(time.time()))
    sealed = xmltodict.parse(crypto.encrypt_message(asked["xml"], nonce, timestamp))["xml"]
    envelope = "<xml><AppId><![CDATA[%s]]></AppId><Encrypt><![CDATA[%s]]></Encrypt></xml>" % (
        component["appid"],
        sealed["Encrypt"],
    )
    query = urllib.parse.urlencode(
        {
            "timestamp": timestamp,
            "nonce": nonce,
            "encrypt_type": "aes",
            "msg_signature": sealed["MsgSignature"],
        }
    )
    request = urllib.request.Request(
        asked["url"] + "?" + query, envelope.encode(), {"Content-Type": "text/xml"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            return {"status": answer.status, "body": answer.read().decode()}
    except urllib.error.HTTPError as error:
        return {"status": error.code, "body": error.read().decode()}


def read(asked):
    """Reads a push with wechatpy's WeChatComponent, as a platform built on it would."""
    component = asked["component"]
    platform = WeChatComponent(
        component["appid"],
        component["appsecret"],
        component["token"],
        component["encoding_aes_key"],
    )
    message = platform.parse_message(
        asked["body"], asked["msg_signature"], asked["timestamp"], asked["nonce"]
    )
    return {"type": message.type, "ticket": platform.component_verify_ticket}


asked = json.loads(sys.argv[1])
print(json.dumps({"push": push, "read": read}[asked["do"]](asked)))
