"""What values of settings may be: shared by the sections of the settings file."""

from typing import Annotated

from msgspec import Meta

Port = Annotated[int, Meta(ge=0, le=65_535, description="0 picks a free one")]
Name = Annotated[str, Meta(pattern="^[a-z][a-z0-9_-]{0,31}$")]
Count = Annotated[int, Meta(ge=1, le=1_000)]
Milliseconds = Annotated[int, Meta(ge=0, le=86_400_000)]
CallMs = Annotated[int, Meta(ge=100, le=30_000)]
Seconds = Annotated[int, Meta(ge=0, le=86_400)]
Ppm = Annotated[int, Meta(ge=0, le=1_000_000, description="millionths")]
Minor = Annotated[int, Meta(ge=1, description="minor units")]
Reference = Annotated[
    str,
    Meta(
        pattern=r"^(file:/.+|env:(?!TILLWAY_)[A-Z][A-Z0-9_]*)$",
        description="where a key is: file:/absolute/path, or env:VARIABLE (not TILLWAY_…)",
    ),
]
Id = Annotated[str, Meta(pattern=r"^[0-9A-Za-z_-]{1,64}$")]
Address = Annotated[str, Meta(pattern=r"^(https?://[^/?#@]+(/[^?#]*)?)?$")]
