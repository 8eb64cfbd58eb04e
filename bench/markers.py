"""The part of a page that is written anew: what stands between two markers."""

__all__ = ["replace_between"]


def replace_between(begin: str, end: str, text: str, new: str) -> str:
    """Return `text` with the lines `new` between its markers; each must be there once."""
    before, rest = text.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n{new}{end}{after}"
