"""Environment variables in a store's address, such as its password.

The address stays as it was written, `${NAME}` and all, in logs, stores and statuses;
only what opens the store sees the variable's value.
"""

import os
import re
import socket
from urllib.parse import quote

from sweep.errors import ConfigError

_VARIABLE = re.compile(r"\$\{(\w+)\}")


def filled(key: str, address: str) -> str:
    """A store's address with the variables' values in the place of their names.

    A user's name or password is quoted as an address needs it.

    Args:
        key: The YAML's key, for the message.
        address: What the YAML says.

    Raises:
        ConfigError: naming key and variable, if one of them is not set.
    """
    missing = [n for n in _VARIABLE.findall(address) if n not in os.environ]
    if missing:
        raise ConfigError(
            f"{key}: found {', '.join(f'${{{name}}}' for name in missing)}, which is "
            f"not set in the environment on {socket.gethostname()}; what to do: export "
            "it where the sweep is started, on a cluster before `ray start` on its head"
        )
    scheme, separator, rest = address.partition("://")
    user, at, place = rest.rpartition("@")
    user = _VARIABLE.sub(lambda found: quote(os.environ[found[1]], safe=""), user)
    return _fill(scheme) + separator + user + at + _fill(place)


def _fill(text: str) -> str:
    return _VARIABLE.sub(lambda found: os.environ[found[1]], text)
