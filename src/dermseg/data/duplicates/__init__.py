"""Pictures that show one thing: found by a perceptual hash, confirmed by correlation after alignment."""

from dermseg.data.duplicates.fingerprint import COMPARED_SIZE, Fingerprint, fingerprint
from dermseg.data.duplicates.references import References
from dermseg.data.duplicates.search import Duplicate, near_duplicates, near_duplicates_between

__all__ = [
    "COMPARED_SIZE",
    "Duplicate",
    "Fingerprint",
    "References",
    "fingerprint",
    "near_duplicates",
    "near_duplicates_between",
]
