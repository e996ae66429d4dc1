"""Fly's regions and their aliases, as a `region` parameter takes them.

Source: "Regions"; "Machine placement" (a list by priority, and the aliases).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ALIASES", "REGIONS", "Region", "expand"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One region, by the API's names; `geo_region` is the alias that includes it."""

    code: str
    name: str
    geo_region: str
    latitude: float
    longitude: float
    gateway_available: bool = True
    requires_paid_plan: bool = False
    deprecated: bool = False


REGIONS = {
    code: Region(code=code, name=name, geo_region=area, latitude=north, longitude=east)
    for code, name, area, north, east in (
        ("ams", "Amsterdam, Netherlands", "eu", 52.37, 4.90),
        ("arn", "Stockholm, Sweden", "eu", 59.33, 18.07),
        ("bom", "Mumbai, India", "apac", 19.08, 72.88),
        ("cdg", "Paris, France", "eu", 48.86, 2.35),
        ("dfw", "Dallas, Texas (US)", "us", 32.78, -96.80),
        ("ewr", "Secaucus, NJ (US)", "us", 40.79, -74.06),
        ("fra", "Frankfurt, Germany", "eu", 50.11, 8.68),
        ("gru", "Sao Paulo, Brazil", "sa", -23.55, -46.63),
        ("iad", "Ashburn, Virginia (US)", "us", 39.04, -77.49),
        ("jnb", "Johannesburg, South Africa", "africa", -26.20, 28.05),
        ("lax", "Los Angeles, California (US)", "us", 34.05, -118.24),
        ("lhr", "London, United Kingdom", "eu", 51.51, -0.13),
        ("nrt", "Tokyo, Japan", "apac", 35.68, 139.69),
        ("ord", "Chicago, Illinois (US)", "us", 41.88, -87.63),
        ("sin", "Singapore, Singapore", "apac", 1.35, 103.82),
        ("sjc", "San Jose, California (US)", "us", 37.34, -121.89),
        ("syd", "Sydney, Australia", "apac", -33.87, 151.21),
        ("yyz", "Toronto, Canada", "na", 43.65, -79.38),
    )
}
_WIDER = {"na": ("us", "na"), "any": ("us", "na", "eu", "apac", "sa", "africa")}
ALIASES = frozenset({"us", "na", "eu", "apac", "sa", "any"})


def expand(word: str) -> list[str]:
    """Return the codes of a region code or an alias; [] if it is neither."""
    if word in ALIASES:
        areas = _WIDER.get(word, (word,))
        return [code for code, one in REGIONS.items() if one.geo_region in areas]
    return [word] if word in REGIONS else []
