"""The official client, and what each of its errors means here."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import elasticsearch
from elastic_transport import TransportError

from seawall.config.stores import ElasticsearchAccess
from seawall.core.errors import InputError, StoreUnavailable
from seawall.stores.credentials import basic_auth, token

PLACE = "stores.elasticsearch"
MAJORS = (8, 9)
REMEDIES = {
    401: "mend the credentials under stores.elasticsearch",
    403: "give Seawall's user the privileges of docs/stores.md, or free the disk if it is a block",
    404: "see whether somebody deleted Seawall's data streams",
    413: "lower stores.elasticsearch.batch",
    429: "the cluster is overloaded or its disk is full",
}


def connect(url: str, access: ElasticsearchAccess, node_class: Any = None) -> elasticsearch.Elasticsearch:
    """A client; nothing is asked yet. InputError for a secret or certificate that is not there."""
    options: dict[str, Any] = {"node_class": node_class} if node_class else {}
    if access.ca_file is not None:
        try:
            ssl.create_default_context(cafile=access.ca_file)
        except (OSError, ssl.SSLError) as error:
            finding = f"cannot read {access.ca_file} ({error})"
            raise InputError(f"{PLACE}.ca_file", finding, "name a PEM file of certificates") from error
        options["ca_certs"] = str(access.ca_file)
    return elasticsearch.Elasticsearch(
        url,
        basic_auth=basic_auth(access, PLACE),
        api_key=token(access, PLACE),
        request_timeout=access.timeout,
        max_retries=0,  # the bulk path and the spool try again, each where it knows what is lost otherwise
        retry_on_timeout=False,
        **options,
    )


@contextmanager
def reached(url: str, what: str) -> Iterator[None]:
    """Turns the client's errors into StoreUnavailable with place, finding, remedy."""
    try:
        yield
    except elasticsearch.UnsupportedProductError as error:
        raise StoreUnavailable(f"{url}: {what}: {_not_elasticsearch('it')}") from error
    except elasticsearch.ApiError as error:
        status = error.status_code
        remedy = REMEDIES.get(status, "see Elasticsearch's log")
        raise StoreUnavailable(f"{url}: {what}: answered {status}: {_said(error)}; {remedy}") from error
    except TransportError as error:
        raise StoreUnavailable(f"{url}: {what}: {error.message}; see whether it runs") from error


def check_version(info: Any, url: str) -> None:
    """StoreUnavailable unless it is Elasticsearch 8 or 9."""
    version = info["version"]
    if version.get("distribution") == "opensearch":
        raise StoreUnavailable(f"{url}: {_not_elasticsearch('OpenSearch ' + version['number'])}")
    major = str(version["number"]).partition(".")[0]
    if not major.isdigit() or int(major) not in MAJORS:
        raise StoreUnavailable(f"{url}: Elasticsearch {version['number']} is not supported; use 8 or 9")


def _not_elasticsearch(found: str) -> str:
    remedy = "OpenSearch is not supported, keep events in duckdb: or Elasticsearch 8 or 9"
    return f"{found} is not Elasticsearch; {remedy}"


def _said(error: elasticsearch.ApiError) -> str:
    try:
        return str(error.body["error"]["reason"])[:500]
    except (KeyError, TypeError):
        return str(error.message)[:500]
