"""Which format an answer of the history has: by `format`, else by the Accept header."""

from typing import Final

from serve import problems

MEDIA_TYPES: Final = {
    "json": "application/json",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
}
_ANY: Final = {
    "*/*": "json",
    "application/*": "json",
    "text/*": "csv",
    "application/problem+json": "json",
}


def negotiated(accept: str | None, wanted: str | None) -> str:
    """Return json, arrow, parquet or csv; raises the problem that lists them.

    >>> negotiated("text/html, text/csv;q=0.9, */*;q=0.1", None)
    'csv'
    """
    if wanted is not None:
        if wanted not in MEDIA_TYPES:
            raise problems.invalid(
                [{"field": "format", "detail": f"Expected query parameter format to be "
                  f"{', '.join(MEDIA_TYPES)}, was {problems.shown(wanted)}."}]
            )  # fmt: skip
        return wanted
    by_type = {media: name for name, media in MEDIA_TYPES.items()} | _ANY
    for media in _by_preference(accept or "*/*"):
        if media in by_type:
            return by_type[media]
    raise problems.not_acceptable(str(accept), list(MEDIA_TYPES.values()))


def _by_preference(accept: str) -> list[str]:
    """Return the media types of an Accept header, most wanted first."""
    found = []
    for item in accept.lower().split(","):
        media, *parameters = (part.strip() for part in item.split(";"))
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 0.0
        if quality > 0:
            found.append((-quality, media))
    return [media for _, media in sorted(found, key=lambda pair: pair[0])]
