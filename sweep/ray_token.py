"""Where the token lies that a Ray cluster asks for; the token itself is not read."""

from collections.abc import Mapping
from pathlib import Path


def find_token(environment: Mapping[str, str]) -> str | None:
    """Say where Ray will find its token; None if it will find none.

    Args:
        environment: The variables of a process.
    """
    if environment.get("RAY_AUTH_TOKEN", "").strip():
        return "RAY_AUTH_TOKEN"
    path = environment.get("RAY_AUTH_TOKEN_PATH")
    if path:
        return f"{path} (RAY_AUTH_TOKEN_PATH)" if _has_text(Path(path)) else None
    default = Path(environment.get("HOME", "")) / ".ray" / "auth_token"
    return "~/.ray/auth_token" if _has_text(default) else None


def _has_text(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0
