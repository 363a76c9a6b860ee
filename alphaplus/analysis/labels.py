"""Keys of measures that are taken at several values of a parameter."""


def label(value: float) -> str:
    """Return a parameter as the key of its values.

    >>> label(1e6), label(2.5)
    ('1000000', '2.5')
    """
    return str(int(value)) if float(value).is_integer() else repr(float(value))
