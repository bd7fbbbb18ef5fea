"""The image's health check: does Seawall answer on /healthz of this container? Exit 0 or 1.

Both schemes are tried: the port speaks one of them. $SEAWALL_HEALTH_URL names another place, such as
127.0.0.1:9000/healthz, or a whole URL.
"""

import http.client
import os
import ssl
import sys
import urllib.request

URL = "127.0.0.1:8700/healthz"
SECONDS = 4.0


def answers(url: str) -> str:
    """Empty if `url` answers 200, else why not. Its own certificate is not judged: it is for another name."""
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=SECONDS, context=unverified) as answer:  # noqa: S310
            return "" if answer.status == 200 else f"{url}: HTTP {answer.status}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"{url}: {error}"


def main() -> int:
    """Plain HTTP first, then TLS; the reasons go to standard error."""
    named = os.environ.get("SEAWALL_HEALTH_URL") or URL
    urls = [named] if "://" in named else [f"http://{named}", f"https://{named}"]
    reasons = []
    for url in urls:
        if not (reason := answers(url)):
            return 0
        reasons.append(reason)
    sys.stderr.write("; ".join(reasons) + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
