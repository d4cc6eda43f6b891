"""Whom a call asks, and with which key: the settings of the openai SDK's client, from flags and the environment."""

import os
import re
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, unquote
from urllib.request import getproxies, proxy_bypass

from console.address import Address, basic, checked_header, checked_server, secrets_of, shown
from console.errors import EngineError, InputError

OFFICIAL = "https://api.openai.com/v1"
OPENAI_KEY = "OPENAI_API_KEY"
AZURE_KEYS = ("AZURE_OPENAI_AD_TOKEN", "AZURE_OPENAI_API_KEY")
"""The variables that the SDK reads for Azure, in its order."""
AZURE_HOST = re.compile(r"[\w.-]+\.(?:openai|cognitiveservices|services\.ai)\.azure\.(?:com|us|cn)(?::\d+)?")
DEPLOYMENT = re.compile(r"(?P<endpoint>.*?)/openai(?:/deployments/(?P<name>[^/]+))?(?:/chat/completions)?$")
SHORTEST_VALUE = 8
"""A shorter value of a header that the environment adds is no secret."""
BESIDE_API = ("/tokenize", "/detokenize", "/version")
"""The paths that vLLM has beside the API, not under its `/v1`."""
NO_KEY = "none"
"""The key for a server that asks for none. The SDK makes no client without one."""


@dataclass(frozen=True)
class Account:
    """A server and the key for it."""

    server: str = field(repr=False)  # may have a key
    """The base URL, without a slash at its end. Of Azure: the resource's endpoint."""
    key: str = field(repr=False)
    """Empty if there is none, or if the SDK itself finds Azure's."""
    key_env: str = OPENAI_KEY
    """The variable that has the key."""
    deployment: str | None = None
    """The deployment of an Azure resource. None if the server is no such resource."""
    version: str = ""
    """Azure's api-version."""

    @staticmethod
    def of(model: str, base_url: str | None, api_key_env: str) -> "Account":
        """Return the account for `model` at `base_url`, else at the environment's server, else at OpenAI's own.

        The environment's is OPENAI_BASE_URL. Without it and without a key for OpenAI, it is AZURE_OPENAI_ENDPOINT.
        Raises InputError if an address, a key or a header's value cannot be used.
        """
        if base_url is not None and not base_url.strip():
            raise InputError("--base-url is empty; leave it out, or write it like http://localhost:8000/v1")
        key = checked_header(os.environ.get(api_key_env, ""), api_key_env)
        azure = os.environ.get("AZURE_OPENAI_ENDPOINT", "").strip()
        named = base_url or os.environ.get("OPENAI_BASE_URL", "").strip() or ("" if key else azure)
        server = checked_server(named or OFFICIAL).rstrip("/")
        for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", *AZURE_KEYS):
            checked_header(os.environ.get(name, ""), name)
        address = Address.of(server)
        host, _, path = address.place.partition("/")
        is_azure = AZURE_HOST.fullmatch(host) is not None or azure.rstrip("/") == server
        if not is_azure or re.search(r"(?:^|/)v1$", path):  # Azure's newer address is like OpenAI's own
            return Account(server, key, api_key_env)
        version = dict(parse_qsl(address.query)).get("api-version", os.environ.get("OPENAI_API_VERSION", ""))
        if not version:
            what = "set OPENAI_API_VERSION to the version of Azure's API, such as 2024-10-21"
            raise InputError(f"{shown(server)}: {what}")
        if api_key_env == OPENAI_KEY and any(map(os.environ.get, AZURE_KEYS)):
            key = ""  # the SDK takes Azure's own, and never OpenAI's
        found = DEPLOYMENT.fullmatch(address.scheme + address.place)
        endpoint = found["endpoint"] if found else address.scheme + address.place
        name = unquote(found["name"]) if found and found["name"] else model
        return Account(endpoint.rstrip("/"), key, api_key_env, name, version)

    @property
    def lacking(self) -> str | None:
        """Return which setting is missing for any call, or None."""
        if self.deployment is not None and not self.key and not any(map(os.environ.get, AZURE_KEYS)):
            return f"{self.server}: no key for Azure: set AZURE_OPENAI_API_KEY or AZURE_OPENAI_AD_TOKEN"
        if self.is_official and not self.key:
            return f"no key for the OpenAI API: set {self.key_env}, or name a server with --base-url"
        return None

    @property
    def is_official(self) -> bool:
        """Return whether this is OpenAI's own server."""
        return self.server == OFFICIAL

    @property
    def describes_models(self) -> bool:
        """Return whether the server's list of models may say more of a model than its name."""
        return not self.is_official and self.deployment is None

    def at(self, path: str) -> str:
        """Return where a `path` of the API is. The base URL's query stays as it is, because it may be a key."""
        if self.deployment is not None:
            return path
        address = Address.of(self.server)
        if path in BESIDE_API:
            address = replace(address, place=re.sub(r"/v1/*$", "", address.place))
        return address.url(path)

    @property
    def secrets(self) -> set[str]:
        """Return what no message may show: keys, and the values of headers that the environment adds."""
        lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")  # which the SDK sends along
        headers = {part for line in lines for part in line.partition(":")[2].split() if len(part) >= SHORTEST_VALUE}
        proxy = secrets_of(proxy_of(self.server) or "")
        return (
            secrets_of(self.server) | proxy | headers | {self.key, *(os.environ.get(name, "") for name in AZURE_KEYS)}
        )

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings of the SDK's client: OpenAI's, or Azure's if there is a deployment."""
        address = Address.of(self.server)
        organization, project = (os.environ.get(f"OPENAI_{name}_ID", "").strip() or None for name in ("ORG", "PROJECT"))
        shared = {"organization": organization, "project": project}
        if self.deployment is not None:
            azure = {"azure_endpoint": address.url(), "azure_deployment": self.deployment, "api_version": self.version}
            return shared | azure | {"api_key": self.key or None}
        # The URL's user and password, if it has them, are sent instead of the key.
        headers = {"Authorization": f"Basic {basic(address.user)}"} if address.user else {}
        place = address.scheme + address.place
        return shared | {"api_key": self.key or NO_KEY, "base_url": place, "default_headers": headers}


def proxy_of(server: str) -> str | None:
    """Return the environment's proxy for `server`, because aiohttp itself would look it up at every call."""
    address, proxies = Address.of(server), getproxies()
    proxy = proxies.get(address.scheme.removesuffix("://")) or proxies.get("all")
    if proxy is None or proxy_bypass(address.place.partition("/")[0]):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if Address.of(proxy).scheme not in ("http://", "https://"):
        raise EngineError(f"{shown(server)}: the environment's proxy is no http proxy; unset it, or set NO_PROXY")
    return proxy
