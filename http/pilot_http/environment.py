"""What is wrong with a service's environment, by the names of its variables."""

from pydantic import ValidationError


def told(service: str, prefix: str, error: ValidationError) -> str:
    """Every fault of the settings, as one sentence for people."""
    faults = "; ".join(_told(prefix, fault["loc"], str(fault["msg"])) for fault in error.errors())
    return f"the {service}'s settings are not valid: {faults}"


def _told(prefix: str, place: tuple[int | str, ...], message: str) -> str:
    if not place:
        # A rule over several variables names them itself.
        return message.removeprefix("Value error, ")
    name = f"{prefix}{str(place[0]).upper()}"
    return f"{name} is missing" if message == "Field required" else f"{name}: {message.removeprefix('Value error, ')}"
