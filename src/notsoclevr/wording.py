"""How numbers are written for people."""


def percent(share: float) -> str:
    """Return a share of 0 to 1 in percent, never rounded up to a perfection or down to a failure that it is not."""
    digits = 1
    while share not in (0, 1) and round(share, digits + 2) in (0, 1):
        digits += 1
    return f"{share:.{digits}%}".replace(".0%", "%").replace("%", " %")
