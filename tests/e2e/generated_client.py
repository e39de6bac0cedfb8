"""A tenant's program over a client that was generated from openapi/tenant.json. One JSON argument: the
folder of the client, where lingpai is, and a key. One JSON object out."""

import json
import sys

asked = json.loads(sys.argv[1])
sys.path.insert(0, asked["folder"])

from lingpai_tenant import AuthenticatedClient
from lingpai_tenant.api.authorizations import get_authorization, start_authorization
from lingpai_tenant.api.authorizers import get_authorizer, list_authorizers
from lingpai_tenant.models import (
    AccountKind,
    Authorization,
    Authorizer,
    AuthorizerPage,
    NewAuthorization,
    Problem,
    StartedAuthorization,
)

# A proxy for the world outside is none for loopback.
client = AuthenticatedClient(
    base_url=asked["base"] + "/v1", token=asked["key"], httpx_args={"trust_env": False}
)


def of_type(expected, value):
    if not isinstance(value, expected):
        raise TypeError(f"{type(value).__name__} instead of {expected.__name__}: {value}")
    return value


page = of_type(AuthorizerPage, list_authorizers.sync(client=client))
shop = of_type(Authorizer, get_authorizer.sync(page.items[0].appid, client=client))
wish = NewAuthorization(
    component_appid=asked["component"],
    account_kind=AccountKind.OFFICIAL_ACCOUNT,
    purpose="给粉丝发消息",
)
started = of_type(StartedAuthorization, start_authorization.sync(client=client, body=wish))
read = of_type(Authorization, get_authorization.sync(started.id, client=client))
wish.account_kind, wish.purpose = AccountKind.ANY, "长" * 5000
problems = [
    of_type(Problem, get_authorization.sync("authz_00000000000000000000000000", client=client)),
    of_type(Problem, start_authorization.sync(client=client, body=wish)),
]

print(
    json.dumps(
        {
            "authorizers": [one.appid for one in page.items],
            "state": shop.state.value,
            "granted": len(shop.func_info) > 0,
            "started": started.url.startswith(asked["base"] + "/authorize/"),
            "read": [read.state.value, read.purpose],
            "problems": [[problem.status, problem.code] for problem in problems],
        }
    )
)
