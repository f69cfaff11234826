"""The commit and branch of a checkout, from the files of `.git`: starting git would cost more than a whole event."""

from __future__ import annotations

import os

_HASH_LENGTHS = (40, 64)


def head(root: str) -> dict[str, str]:
    """Return ``commit`` and ``branch`` of the checkout around a folder; what cannot be told is left out."""
    folder = _git_folder(root)
    if folder is None:
        return {}
    text = _read(os.path.join(folder, "HEAD"))
    if not text.startswith("ref: "):  # a detached head
        return {"commit": text} if _is_hash(text) else {}
    name = text.removeprefix("ref: ")
    common = os.path.normpath(os.path.join(folder, _read(os.path.join(folder, "commondir")) or "."))
    commit = _read(os.path.join(common, name)) or _packed(common, name)
    found = {"branch": name.removeprefix("refs/heads/")}
    if _is_hash(commit):
        found["commit"] = commit
    return found


def _git_folder(root: str) -> str | None:
    folder = os.path.abspath(root)
    while True:
        path = os.path.join(folder, ".git")
        if os.path.isdir(path):
            return path
        if os.path.isfile(path):  # a worktree or submodule says where its own is
            return os.path.join(folder, _read(path).removeprefix("gitdir: "))
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent


def _packed(common: str, name: str) -> str:
    for line in _read(os.path.join(common, "packed-refs"), 1 << 22).splitlines():
        commit, _, packed = line.partition(" ")
        if packed == name:
            return commit
    return ""


def _read(path: str, size: int = 4096) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(size).strip()
    except OSError:
        return ""


def _is_hash(text: str) -> bool:
    return len(text) in _HASH_LENGTHS and all(character in "0123456789abcdef" for character in text)
