"""Variables that Kubernetes makes of Services, like settings where a Service's name begins with `transcriber`.

Each Service of a namespace is described to each pod (Kubernetes: "Discovering services", the form of Docker's links);
a Service named `transcriber` so gives TRANSCRIBER_PORT=tcp://10.0.0.1:8080 and TRANSCRIBER_SERVICE_HOST. Pure.
"""

import re
from collections.abc import Iterable, Mapping

_NAME = re.compile(r"\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_ADDRESS = re.compile(r"(tcp|udp|sctp)://\S+:\d+")


def among(environ: Mapping[str, str], prefix: str) -> tuple[str, ...]:
    """The names with the prefix that are service links; none of them can be meant as a setting."""
    return tuple(
        name
        for name, text in environ.items()
        if name.startswith(prefix) and (_NAME.fullmatch(name) or (name.endswith("_PORT") and _ADDRESS.fullmatch(text)))
    )


def notice(names: Iterable[str]) -> str:
    """What whoever runs the server is told of them."""
    return (
        f"left out as variables that Kubernetes makes of Services: {', '.join(sorted(names))}; with "
        "enableServiceLinks: false in the pod there are none"
    )
